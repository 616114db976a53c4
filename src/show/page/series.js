// series.js: what the charts show: columns of numbers, a row a moment.

const PLAIN = ['requests', 'errors', 'p50', 'p95', 'p99', 'max', 'busy', 'listen_queue'];
const OF_HOST = ['requests', 'errors', 'p50', 'p95', 'p99'];
const COUNTS = ['requests', 'errors'];

// Buckets of the heatmap: four an octave from 2^-16 s to 2^7 s, and one for all
// that took longer.  An answer has only those in use.
const BUCKETS = 94;
const upperOf = bucket => 2 ** (bucket / 4 - 16);
const bucketOf = upper => upper == null ? BUCKETS - 1 : Math.round((Math.log2(upper) + 16) * 4);

// Trace ids by bucket; a busy bucket gets a new one each ten seconds.
const EXEMPLARS = 2000;
let exemplars = [];

function takeExemplars(list) {
    const known = new Set(exemplars.map(x => x.trace_id + x.time));
    exemplars = exemplars.concat((list || []).filter(x => !known.has(x.trace_id + x.time))).slice(-EXEMPLARS);
}

// The one of this bucket whose time is nearest to these.
function exemplarOf(bucket, from, to) {
    const away = x => Math.max(from - x.time, x.time - to, 0);
    return exemplars.filter(x => bucketOf(x.upper) === bucket)
        .reduce((a, b) => a && away(a) <= away(b) ? a : b, null);
}

// length: seconds that are kept.  A host may have any name, "__proto__" too.
function makeSeries(length) {
    const s = { length, time: [], step: [], heat: [], hosts: Object.create(null) };
    for (const name of PLAIN) s[name] = [];
    return s;
}

// A host that was not named before had no requests.
function hostSeries(s, name) {
    if (!Object.hasOwn(s.hosts, name)) {
        const host = {};
        for (const column of OF_HOST) host[column] = s.time.map(() => COUNTS.includes(column) ? 0 : null);
        s.hosts[name] = host;
    }
    return s.hosts[name];
}

// Adds the columns of an answer, but what is there already.
function addColumns(s, columns) {
    if (!columns || !columns.time) return;
    for (const name of Object.keys(columns.hosts || {})) hostSeries(s, name);
    columns.time.forEach((time, i) => {
        const last = s.time.length ? s.time[s.time.length - 1] : -Infinity;
        if (time > last) addRow(s, time, columns, i);
    });
    trim(s);
}

function addRow(s, time, columns, i) {
    const at = list => list && list[i] != null ? list[i] : null;
    s.time.push(time);
    s.step.push(columns.step);
    for (const name of PLAIN) s[name].push(at(columns[name]));
    // Where nothing is known of all, nothing is of durations or of a host.
    const known = !columns.requests || at(columns.requests) != null;
    const counts = columns.heat && at(columns.heat.count);
    s.heat.push(counts && known ? { first: bucketOf(columns.heat.upper[0]), counts } : null);
    for (const name of Object.keys(s.hosts)) {
        const from = Object.hasOwn(columns.hosts || {}, name) ? columns.hosts[name] : {};
        for (const column of OF_HOST) {
            const value = at(from[column]);
            s.hosts[name][column].push(value == null && known && COUNTS.includes(column) ? 0 : value);
        }
    }
}

function trim(s) {
    const since = s.time.length ? s.time[s.time.length - 1] - s.length : 0;
    let drop = 0;
    while (drop < s.time.length && s.time[drop] <= since) drop++;
    if (drop === 0) return;
    const lists = [s.time, s.step, s.heat, ...PLAIN.map(name => s[name])];
    for (const name of Object.keys(s.hosts)) lists.push(...OF_HOST.map(column => s.hosts[name][column]));
    for (const list of lists) list.splice(0, drop);
}

// How many seconds a count is of: where moments before it are not known, what
// happened in them is in it, too; the newest of long steps may not be over.
function secondsOf(s, counts, i) {
    let missing = 0;
    while (i - missing > 0 && counts[i - missing - 1] == null) missing++;
    const step = s.step[i];
    const spent = i > 0 ? s.time[i] - s.time[i - 1] : step;
    return (step > 60 ? Math.min(step, Math.max(60, spent)) : step) + missing * step;
}

function perSecond(s, counts) {
    return counts.map((n, i) => n == null ? null : n / secondsOf(s, counts, i));
}

// Requests and errors of the last so many seconds.
function recent(s, of, seconds) {
    const end = s.time.length ? s.time[s.time.length - 1] : 0;
    const sum = { requests: 0, errors: 0, seconds: 0 };
    for (let i = s.time.length - 1; i >= 0 && s.time[i] > end - seconds; i--) {
        if (of.requests[i] == null) continue;
        sum.requests += of.requests[i];
        sum.errors += of.errors[i] || 0;
        sum.seconds += secondsOf(s, of.requests, i);
    }
    return sum;
}

function lastKnown(list) {
    for (let i = list.length - 1; i >= 0; i--) {
        if (list[i] != null) return list[i];
    }
    return null;
}
