// save.js: what is seen, as one file that needs no server: this document with
// the figures inside, and the same style, script and policy (in a meta element).
// The script finds the figures there and asks nobody.

function asData(value) {
    return JSON.stringify(value).replace(/</g, '\\u003c');
}

function savedFigures() {
    const data = $('saved');
    return data ? JSON.parse(data.textContent) : null;
}

function savedDocument(figures) {
    const root = document.documentElement.cloneNode(true);
    for (const e of root.querySelectorAll('.plot, .last')) e.replaceChildren();
    for (const e of root.querySelectorAll('noscript, #saved')) e.remove();
    const data = make('script', asData(figures));
    data.type = 'application/json';
    data.id = 'saved';
    root.querySelector('footer').after(data);
    return '<!DOCTYPE html>\n' + root.outerHTML;
}

function save(figures) {
    const name = (figures.answer.httpd || {}).name || 'httpd';
    const link = make('a');
    const url = URL.createObjectURL(new Blob([savedDocument(figures)], { type: 'text/html' }));
    link.href = url;
    link.download = 'influx-metrics-' + name.replace(/[^\w.-]/g, '_') + '-'
        + moment(figures.time).replace(/[ :]/g, '-') + '.html';
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
}
