// dom.js: elements and tables.  Text gets into the page as text only: nothing
// that a name or a path has in it is ever read as HTML.

function $(id) {
    return document.getElementById(id);
}

function make(tag, text, className) {
    const e = document.createElement(tag);
    if (text != null) e.textContent = text;
    if (className) e.className = className;
    return e;
}

function say(e, text) {
    if (e.textContent !== text) e.textContent = text;
}

// Makes the children of a list fit so many items, and keeps those that are
// there: a selection or the focus stays where it is.
function fit(list, count, create) {
    while (list.children.length > count) list.lastElementChild.remove();
    while (list.children.length < count) list.append(create());
}

// columns: functions (row, cell) that return the text of a cell, in order.
function fill(body, rows, columns, none) {
    const empty = rows.length === 0;
    if (empty || body.firstElementChild && body.firstElementChild.cells.length !== columns.length) {
        body.replaceChildren();
    }
    if (empty) {
        const row = body.insertRow();
        const cell = row.insertCell();
        cell.colSpan = columns.length;
        cell.textContent = none;
        return;
    }
    fit(body, rows.length, () => {
        const row = make('tr');
        columns.forEach(() => row.insertCell());
        return row;
    });
    rows.forEach((row, i) => {
        const cells = body.rows[i].cells;
        columns.forEach((column, j) => {
            const text = column(row, cells[j]);
            if (text != null) say(cells[j], text);
        });
    });
}

// A bar beside a number, which says the same: nothing for a screen reader.
function meter(cell, share, text) {
    let bar = cell.querySelector('meter');
    if (!bar) {
        bar = make('meter');
        bar.setAttribute('aria-hidden', 'true');
        cell.replaceChildren(document.createTextNode(''), bar);
    }
    cell.firstChild.data = text;
    bar.value = share || 0;
}

// ---- tables that are sorted by a button in their head ----

function sortable(id, first, values, changed) {
    const heads = [...$(id).tHead.rows[0].cells];
    const sort = { key: first, down: true };

    function mark() {
        for (const th of heads) {
            if (th.dataset.key !== sort.key) th.removeAttribute('aria-sort');
            else th.setAttribute('aria-sort', sort.down ? 'descending' : 'ascending');
        }
    }
    for (const th of heads) {
        const button = make('button', th.textContent);
        button.type = 'button';
        button.addEventListener('click', () => {
            const key = th.dataset.key;
            // Numbers begin with the largest, names with A.
            sort.down = key === sort.key ? !sort.down : !values.texts.includes(key);
            sort.key = key;
            mark();
            changed();
        });
        th.replaceChildren(button);
    }
    mark();
    return {
        rows(rows) {
            const value = row => values.of(row, sort.key);
            const sign = sort.down ? -1 : 1;
            return rows.slice().sort((a, b) => {
                const x = value(a), y = value(b);
                if (x == null || y == null) return (x == null) - (y == null);
                const text = typeof x === 'string';
                return sign * (text ? x.localeCompare(y, 'en', { numeric: true }) : x - y);
            });
        },
        get text() {
            return (sort.down ? '-' : '') + sort.key;
        },
        set text(text) {
            const down = text[0] === '-';
            const key = down ? text.slice(1) : text;
            if (!heads.some(th => th.dataset.key === key)) return;
            sort.key = key;
            sort.down = down;
            mark();
        },
    };
}
