// words.js: numbers and times as people read them.  null: a dash.

const DASH = '-';

function number(n) {
    return n == null ? DASH : Math.round(n).toLocaleString('en-US');
}

// 0, 0.4, 12.3, 1,221
function rate(n) {
    if (n == null) return DASH;
    if (n > 0 && n < 0.05) return '< 0.1';
    return n >= 99.95 || n === 0 ? number(n) : n.toFixed(1);
}

function percent(share) {
    if (share == null) return DASH;
    const p = share * 100;
    if (p > 0 && p < 0.05) return '< 0.1 %';
    return p.toFixed(p > 0 && p < 9.95 ? 1 : 0) + ' %';
}

// Three digits: 1.90, 59.8, 467
function three(n) {
    return n.toFixed(n < 9.995 ? 2 : n < 99.95 ? 1 : 0);
}

// Seconds, as imx_words_taken() writes them: 467 µs, 59.8 ms, 1.90 s, 2 min 10 s
function taken(s) {
    if (s == null) return DASH;
    if (s < 0.9995e-3) return s > 0 ? Math.round(s * 1e6) + ' µs' : '0 s';
    if (s < 0.9995) return three(s * 1e3) + ' ms';
    if (s < 59.95) return three(s) + ' s';
    return span(s);
}

// Whole seconds in their two largest units: 5 s, 2 min 10 s, 41 d 3 h
function span(s) {
    if (s == null) return DASH;
    s = Math.max(0, Math.round(s));
    if (s < 60) return s + ' s';
    const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
    const i = units.findIndex(unit => s >= unit[0]);
    const [large, name] = units[i];
    const [small, nextName] = units[i + 1];
    const rest = Math.floor(s % large / small);
    return Math.floor(s / large) + ' ' + name + (rest ? ' ' + rest + ' ' + nextName : '');
}

// As imx_words_bytes() writes them.
function bytes(n) {
    if (n == null) return DASH;
    if (n < 1024) return n + (n === 1 ? ' byte' : ' bytes');
    let unit = 0;
    for (n /= 1024; n >= 1023.95 && unit < 5; unit++) n /= 1024;
    const text = n.toFixed(1);
    return text.replace(/\.0$/, '') + ' ' + 'KMGTPE'[unit] + 'B';
}

function two(n) {
    return (n < 10 ? '0' : '') + n;
}

// Seconds since 1970, in the reader's time zone: 21:04:15
function clock(t) {
    const d = new Date(t * 1000);
    return two(d.getHours()) + ':' + two(d.getMinutes()) + ':' + two(d.getSeconds());
}

function moment(t) {
    const d = new Date(t * 1000);
    return d.getFullYear() + '-' + two(d.getMonth() + 1) + '-' + two(d.getDate()) + ' ' + clock(t);
}
