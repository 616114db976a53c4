// tables.js: the words, the tiles and the tables, from the newest answer.

const LEVELS = { well: 'well', warning: 'warning', critical: 'critical' };

// The words are said to a screen reader when they change, not each second in
// which a number in them does.
let saidKey = null;

function showWords(words) {
    const list = $('words');
    fit(list, words.length, () => {
        const item = make('li');
        item.append(make('span', null, 'level'), make('b'), make('span'));
        return item;
    });
    words.forEach((w, i) => {
        const item = list.children[i];
        const level = LEVELS[w.level] || 'warning';
        if (item.className !== level) item.className = level;
        const [levelText, what, todo] = item.children;
        say(levelText, level);
        // The first sentence; the others explain it.
        const end = w.what.search(/\. [A-Z]/) + 1 || w.what.length;
        say(what, w.what.slice(0, end));
        say(todo, w.what.slice(end) + [w.todo, w.id].filter(Boolean).map(s => ' ' + s).join(''));
    });
    const key = words.map(w => w.level + w.id + w.what.replace(/[\d.,]+/g, '#')).join('|');
    if (key !== saidKey) {
        saidKey = key;
        say($('said'), words.map(w => w.what + ' ' + (w.todo || '')).join(' '));
    }
}

function showServer(answer) {
    const server = answer.httpd || {};
    const name = (server.name || '') + (server.name ? ': ' : '') + 'Apache httpd';
    say($('name'), name);
    document.title = (answer.words && answer.words[0].level === 'critical' ? '(!) ' : '') + name;
    say($('about'), [(server.version || '').replace(/^Apache\//, ''), server.mpm, 'up ' + span(answer.uptime),
        server.generation ? 'generation ' + server.generation : ''].filter(Boolean).join(', '));
}

function tile(name, text, note, bad) {
    const value = $('tile-' + name);
    say(value, text);
    say($('note-' + name), note);
    value.parentElement.className = bad ? 'bad' : '';
}

function showTiles(answer, series, picked) {
    const now = picked ? (answer.hosts || []).find(h => h.name === picked) || {} : answer.total || {};
    const of = picked ? hostSeries(series, picked) : series;
    const longer = recent(series, of, 600);
    const share = now.requests > 0 ? now.errors / now.requests : now.requests === 0 ? 0 : null;
    const scope = picked || 'all virtual hosts';
    tile('requests', rate(now.requests), '10 min: ' + rate(longer.seconds ? longer.requests / longer.seconds : null));
    tile('errors', percent(share), '10 min: ' + percent(longer.requests ? longer.errors / longer.requests : longer.seconds ? 0 : null),
        share >= 0.05);
    tile('p50', taken(now.p50), scope);
    tile('p99', taken(now.p99), scope);
    const w = answer.workers || {};
    const queue = w.listen_queue;
    tile('busy', percent(w.max ? w.busy / w.max : null), w.max ? 'of ' + number(w.max) + ', '
        + (queue == null ? 'queue unknown' : number(queue) + ' waiting') : '', queue > 0);
    showObjective(now.objective);
    const slow = answer.slow || [];
    tile('slow', number(slow.length), slow.length ? 'oldest ' + taken(slow[0].elapsed) : 'none', slow.length > 0);
}

// Of the picked host, or of all: it is there only where an objective is set.
function showObjective(o) {
    $('objective').hidden = !o;
    if (!o) return;
    const { hour, minutes5 } = o;
    const goal = [o.time && taken(o.time), o.percent && o.percent + ' %'].filter(Boolean).join(', ');
    say($('objective').firstElementChild, 'Objective' + (goal && ' ' + goal));
    // Rounded down: 100 % are all of them.
    tile('objective', hour.total ? Math.floor(hour.good * 1e5 / hour.total) / 1e3 + ' %' : DASH,
        'in the last ' + (hour.seconds < 3540 ? span(hour.seconds) : 'hour') + ', burn rate ' + rate(hour.burn)
            + '; ' + rate(minutes5.burn) + ' in the last ' + span(minutes5.seconds),
        hour.burn > 14.4 && minutes5.burn > 14.4);
}

// ---- virtual hosts ----

function errorShare(h) {
    return h.requests > 0 ? h.errors / h.requests : h.requests === 0 ? 0 : null;
}

const HOST_VALUES = {
    texts: ['name'],
    of: (h, key) => key === 'share' ? errorShare(h) : h[key],
};
const HOST_COLUMNS = [
    (h, cell) => {
        cell.title = h.name;
        return h.name;
    },
    h => rate(h.requests),
    (h, cell) => {
        const share = errorShare(h);
        cell.className = share >= 0.01 ? 'bad' : '';
        return percent(share);
    },
    h => taken(h.p50),
    h => taken(h.p95),
    h => taken(h.p99),
    (h, cell) => meter(cell, h.busy, percent(h.busy)),
];

function showHosts(hosts, sort, picked) {
    const rows = sort.rows(hosts);
    fill($('hosts').tBodies[0], rows, HOST_COLUMNS, 'No virtual host was asked yet.');
    rows.forEach((h, i) => {
        $('hosts').tBodies[0].rows[i].className = h.name === picked ? 'picked' : '';
    });
}

// ---- workers ----

function pairsOfWorkers(w) {
    // The dead ones are places without a worker.
    const pairs = Object.entries(w.states || {}).filter(([name]) => name !== 'dead').map(([name, n]) => [name.replace(/_/g, ' '), number(n)]);
    if (w.in_flight != null) pairs.push(['requests running', number(w.in_flight)]);
    pairs.push(['used of all', percent(w.capacity_utilization)],
        ['wait for a worker', w.listen_queue == null ? DASH
            : number(w.listen_queue) + (w.listen_limit ? ' of ' + number(w.listen_limit) : '')]);
    const c = w.connections || {};
    if (c.total != null) {
        pairs.push(['connections', number(c.total)], ['... keep-alive', number(c.keepalive)],
            ['... writing', number(c.writing)], ['... closing', number(c.closing)]);
    }
    return pairs;
}

function showWorkers(w) {
    const pairs = pairsOfWorkers(w);
    const list = $('workers');
    fit(list, pairs.length, () => {
        const item = make('div');
        item.append(make('dt'), make('dd'));
        return item;
    });
    pairs.forEach(([name, value], i) => {
        say(list.children[i].children[0], name);
        say(list.children[i].children[1], value);
    });
}

// ---- slow requests, processes ----

const SLOW_COLUMNS = [
    (s, cell) => {
        cell.className = s.elapsed >= 10 ? 'bad' : '';
        return taken(s.elapsed);
    },
    s => s.method,
    s => s.server,
    (s, cell) => {
        cell.title = s.uri || '';
        return s.uri || DASH;
    },
    s => s.waits_for,
];

function showSlow(slow) {
    fill($('slow').tBodies[0], slow, SLOW_COLUMNS, 'No request runs for long.');
    $('card-slow').classList.toggle('some', slow.length > 0);
}

function cpu(p) {
    return p.cpu_user == null ? null : p.cpu_user + (p.cpu_system || 0);
}

const PROCESS_VALUES = {
    texts: ['process'],
    of: (p, key) => key === 'cpu' ? cpu(p) : p[key],
};

function processColumns(holder) {
    return [
        p => p.process + (p.pid === holder ? ' *' : ''),
        p => String(p.pid),
        p => cpu(p) == null ? DASH : cpu(p).toFixed(2),
        p => bytes(p.memory_rss),
        p => number(p.busy),
        p => number(p.fds),
        p => number(p.requests),
        p => span(p.age),
    ];
}

function showProcesses(processes, sort, holder) {
    fill($('processes').tBodies[0], sort.rows(processes), processColumns(holder), 'No process has told its figures yet.');
}

// ---- figures of the module, which the server wrote with their units ----

const UNITS = {
    points: number, bytes, count: number, plain: n => String(n),
    seconds: span,
    time: (t, now) => t === 0 ? 'never' : moment(t) + ' (' + span(now - t) + ' ago)',
    text: t => t === '' ? DASH : t,
};

function showFigures(answer, now) {
    for (const cell of document.querySelectorAll('td[data-figure]')) {
        const value = answer[cell.dataset.figure];
        if (value != null) say(cell, (UNITS[cell.dataset.unit] || String)(value, now));
    }
}

function showEvents(list) {
    fit($('events'), list.length || 1, () => {
        const item = make('li');
        item.append(make('b'), make('span'));
        return item;
    });
    if (list.length === 0) {
        say($('events').children[0].children[0], '');
        say($('events').children[0].children[1], 'Nothing happened in this time.');
    }
    list.slice().reverse().forEach((event, i) => {
        const [letter, text] = $('events').children[i].children;
        say(letter, eventLetter(event));
        say(text, moment(event.time) + '  ' + event.text);
    });
}
