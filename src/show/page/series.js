// series.js: what the charts show: columns of numbers, a row a moment.

const PLAIN = ['requests', 'errors', 'aborted', 'p50', 'p95', 'p99', 'max', 'busy', 'listen_queue'];
const OF_HOST = ['requests', 'errors', 'p50', 'p95', 'p99'];

// length: seconds that are kept.  A host may have any name, "__proto__" too.
function makeSeries(length) {
    const s = { length, time: [], step: [], heat: [], upper: [], hosts: Object.create(null) };
    for (const name of PLAIN) s[name] = [];
    return s;
}

function hostSeries(s, name) {
    if (!Object.hasOwn(s.hosts, name)) {
        const host = {};
        for (const of of OF_HOST) host[of] = s.time.map(() => null);
        s.hosts[name] = host;
    }
    return s.hosts[name];
}

// Adds the columns of an answer, but what is there already.
function addColumns(s, columns) {
    if (!columns || !columns.time) return;
    const upper = columns.heat ? columns.heat.upper : [];
    if (upper.length !== s.upper.length) {
        s.upper = upper;
        s.heat = s.heat.map(() => null);
    }
    const named = columns.hosts || {};
    for (const name of Object.keys(named)) hostSeries(s, name);
    columns.time.forEach((time, i) => {
        const last = s.time.length ? s.time[s.time.length - 1] : -Infinity;
        if (time <= last) return;
        if (time - last > 3 * columns.step && isFinite(last)) addRow(s, last + columns.step, columns.step, null, i);
        addRow(s, time, columns.step, columns, i);
    });
    trim(s);
}

// columns null: nothing is known of this moment, and lines break there.
function addRow(s, time, step, columns, i) {
    const at = (list) => columns && list && list[i] != null ? list[i] : null;
    s.time.push(time);
    s.step.push(step);
    for (const name of PLAIN) s[name].push(at(columns && columns[name]));
    s.heat.push(at(columns && columns.heat && columns.heat.count));
    for (const name of Object.keys(s.hosts)) {
        const from = columns && columns.hosts && Object.hasOwn(columns.hosts, name) ? columns.hosts[name] : null;
        for (const of of OF_HOST) s.hosts[name][of].push(at(from && from[of]));
    }
}

function trim(s) {
    const since = s.time.length ? s.time[s.time.length - 1] - s.length : 0;
    let drop = 0;
    while (drop < s.time.length && s.time[drop] <= since) drop++;
    if (drop === 0) return;
    const lists = [s.time, s.step, s.heat, ...PLAIN.map(name => s[name])];
    for (const name of Object.keys(s.hosts)) lists.push(...OF_HOST.map(of => s.hosts[name][of]));
    for (const list of lists) list.splice(0, drop);
}

// Counts become a second's.
function perSecond(s, counts) {
    return counts.map((n, i) => n == null ? null : n / s.step[i]);
}

// Of the last so many seconds: the requests and errors a second.
function recent(s, of, seconds) {
    const end = s.time.length ? s.time[s.time.length - 1] : 0;
    const sum = { requests: 0, errors: 0, seconds: 0 };
    for (let i = s.time.length - 1; i >= 0 && s.time[i] > end - seconds; i--) {
        if (of.requests[i] == null) continue;
        sum.requests += of.requests[i];
        sum.errors += of.errors[i] || 0;
        sum.seconds += s.step[i];
    }
    return sum;
}

function lastKnown(list) {
    for (let i = list.length - 1; i >= 0; i--) {
        if (list[i] != null) return list[i];
    }
    return null;
}
