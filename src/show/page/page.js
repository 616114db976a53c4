// page.js: the life of the page: asks the server each second, and shows what
// it says.  What is chosen stands in the URL, so that a link shows the same.

const SECOND = 1000;
const SPANS = { '10m': 600, '24h': 86400 };
const calm = matchMedia('(prefers-reduced-motion: reduce)');

// 24 hours have heatmap and hosts in longer steps than the rest.
const series = { '10m': makeSeries(600), '24h': makeSeries(86400), coarse: makeSeries(86400) };
const chosen = { span: '10m', host: '', paused: false };
const saved = savedFigures();

let answer = null;       // the newest
let answered = 0;        // when it came, ms of performance.now()
let failures = 0;
let trouble = '';        // why the last one did not come
let historyAt = -Infinity;
let timer = 0;
let asking = false;
let drawnAt = -Infinity;
let charts = null;

// ---- what is chosen, in the fragment of the URL ----

function fragment() {
    const parts = new URLSearchParams();
    if (chosen.span !== '10m') parts.set('span', chosen.span);
    if (chosen.host) parts.set('host', chosen.host);
    if (chosen.paused) parts.set('paused', '1');
    if (sorts.hosts.text !== '-requests') parts.set('hosts', sorts.hosts.text);
    if (sorts.processes.text !== 'process') parts.set('processes', sorts.processes.text);
    return parts.toString();
}

// The address is the document's own, with the user that may stand in it: the
// history takes no other one.
function keepChoice() {
    const text = fragment();
    if (location.hash.slice(1) !== text) history.replaceState(null, '', text ? '#' + text : document.URL.split('#')[0]);
}

function readChoice(text) {
    const parts = new URLSearchParams(text);
    chosen.span = Object.hasOwn(SPANS, parts.get('span') || '') ? parts.get('span') : '10m';
    chosen.host = parts.get('host') || '';
    chosen.paused = parts.get('paused') === '1';
    sorts.hosts.text = parts.get('hosts') || '-requests';
    sorts.processes.text = parts.get('processes') || 'process';
    showChoice();
}

function showChoice() {
    for (const b of document.querySelectorAll('[data-span]')) b.setAttribute('aria-pressed', String(b.dataset.span === chosen.span));
    say($('pause'), chosen.paused ? 'Resume' : 'Pause');
    for (const e of document.querySelectorAll('[data-scope]')) say(e, chosen.host || 'all virtual hosts');
    showPicker();
}

// The hosts by name, and the one that a link names even when it is not there.
function showPicker() {
    const names = new Set((answer && answer.hosts || []).map(h => h.name));
    if (chosen.host) names.add(chosen.host);
    const wanted = ['', ...[...names].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))];
    const options = $('host').options;
    if (options.length !== wanted.length || wanted.some((name, i) => options[i].value !== name)) {
        $('host').replaceChildren(...wanted.map(name => {
            const option = make('option', name || 'all virtual hosts');
            option.value = name;
            return option;
        }));
    }
    if ($('host').value !== chosen.host) $('host').value = chosen.host;
}

function choose(what) {
    Object.assign(chosen, what);
    keepChoice();
    showChoice();
    showAll(true);
}

// ---- showing ----

function makeCharts() {
    const times = (u, list) => list.map(v => isPowerOfTen(v) ? taken(v) : '');
    const counts = (u, list) => list.map(v => v >= 10 || v === 0 ? number(v) : String(+v.toPrecision(3)));
    return {
        requests: makeChart('requests', linear, counts, [
            line('requests/s', 'blue', '', rate, true), line('errors/s (5xx)', 'red', 'dashed', rate)]),
        latency: makeChart('latency', logarithmic, times, [line('p50', 'green', '', taken),
            line('p95', 'orange', 'dashed', taken), line('p99', 'purple', 'dotted', taken)]),
        workers: makeChart('workers', linear, counts, [
            line('busy', 'blue', '', number, true), line('waiting for a worker', 'red', 'dashed', number)]),
        heat: makeHeatmap(),
    };
}

// The server's clock: of its last second, if it has closed one.
function serverTime() {
    return answer.time || Date.now() / SECOND;
}

function drawCharts(now) {
    // Whoever wants little motion gets a step in ten seconds.
    if (!now && calm.matches && performance.now() - drawnAt < 10 * SECOND) return;
    drawnAt = performance.now();
    const plain = series[chosen.span];
    const detailed = chosen.span === '24h' ? series.coarse : plain;
    const s = chosen.host ? detailed : plain;
    const of = chosen.host ? hostSeries(s, chosen.host) : s;
    const to = Math.max(serverTime(), lastKnown(plain.time) || 0);
    const from = to - SPANS[chosen.span];
    const some = list => list.map(v => v > 0 ? v : null);
    charts.requests.draw(s.time, [perSecond(s, of.requests), perSecond(s, of.errors)], from, to);
    charts.latency.draw(s.time, [some(of.p50), some(of.p95), some(of.p99)], from, to);
    charts.workers.draw(plain.time, [plain.busy, plain.listen_queue], from, to);
    charts.heat.draw(detailed, plain, from, to);
}

function failureWords() {
    const ago = span((performance.now() - answered) / SECOND);
    return [{ level: 'critical', what: 'This page has had no answer for ' + ago + '; what you see is old.',
        todo: trouble, id: '' }];
}

function showAll(now) {
    if (!answer) return;
    const old = failures > 1;
    document.body.classList.toggle('old', old);
    showWords((old ? failureWords() : []).concat(answer.words || []));
    showServer(answer);
    showTiles(answer, series['10m'], chosen.host);
    showHosts(answer.hosts || [], sorts.hosts, chosen.host);
    showWorkers(answer.workers || {});
    showSlow(answer.slow || []);
    showProcesses(answer.processes || [], sorts.processes, answer.lease_holder);
    showFigures(answer, serverTime());
    const since = serverTime() - SPANS[chosen.span];
    showEvents(events.filter(e => e.time >= since));
    showPicker();
    drawCharts(now);
}

function theme() {
    if (charts && answer) Object.values(charts).forEach(c => c.redraw());
}

// ---- asking ----

// A whole address: a path that begins with two slashes would be one of another
// host, and fetch() takes none with the user and password of the document's.
async function ask(query) {
    const reply = await fetch(location.origin + location.pathname + query, { cache: 'no-store', signal: AbortSignal.timeout(8 * SECOND) });
    if (!reply.ok) throw new Error('The server answers ' + reply.status + ' ' + reply.statusText + '.');
    return reply.json();
}

function takeHistory(past) {
    series['10m'] = makeSeries(SPANS['10m']);
    series['24h'] = makeSeries(SPANS['24h']);
    series.coarse = makeSeries(SPANS['24h']);
    addColumns(series['10m'], past.minutes10);
    addColumns(series['24h'], past.hours24);
    const { coarse } = past.hours24;
    // The newest ends later than now.
    if (coarse) addColumns(series.coarse, { ...coarse, time: coarse.time.map(t => Math.min(t, past.time || t)) });
    takeEvents(past.events, true);
    takeExemplars(past.exemplars);
    historyAt = performance.now();
}

function takeEvents(list, all) {
    if (!list) return;
    const known = all ? [] : events;
    const news = list.filter(e => !known.some(k => k.time === e.time && k.text === e.text));
    events = known.concat(news).sort((a, b) => a.time - b.time);
}

// All of the past: at the start, after a longer absence or a new start of the
// server, and each minute where the last 24 hours are shown.
function needsHistory(next) {
    const age = performance.now() - historyAt;
    const gap = answer && next ? next.sequence - answer.sequence : 0;
    return historyAt === -Infinity || gap < 0 || gap > 590 || chosen.span === '24h' && age > 60 * SECOND
        || !!answer && !!next && next.httpd && answer.httpd
            && next.httpd.generation !== answer.httpd.generation;
}

async function askAll() {
    const since = answer && historyAt !== -Infinity ? answer.sequence : null;
    const next = await ask(since == null ? '?json' : '?json&since=' + since);
    if (needsHistory(next)) {
        const past = await ask('?json&history');
        takeHistory(past);
        // What closed after the last point comes with the next answer.  Where
        // there is none yet, less than a point, two seconds, have closed.
        const last = lastKnown(series['10m'].time);
        const behind = last == null ? 2 : Math.max(0, past.time - last);
        next.sequence = Math.max(0, past.sequence - behind);
    }
    else {
        addColumns(series['10m'], next.seconds);
        takeEvents(next.events, false);
        takeExemplars(next.exemplars);
    }
    answer = next;
    answered = performance.now();
}

async function poll() {
    if (asking || document.hidden || chosen.paused && answer) return;
    asking = true;
    clearTimeout(timer);
    const began = performance.now();
    try {
        await askAll();
        failures = 0;
    }
    catch (e) {
        failures++;
        trouble = e.name === 'TimeoutError' ? 'It took longer than 8 s. Is httpd busy or stopped?'
            : e instanceof TypeError ? 'Nothing answers there. Does httpd run?' : e.message;
    }
    asking = false;
    try {
        showAll(false);
    }
    finally {
        const spent = performance.now() - began;
        timer = setTimeout(poll, Math.max(200, SECOND * Math.min(5, Math.max(1, failures)) - spent));
    }
}

// ---- the start ----

const again = () => showAll(true);
const sorts = {
    hosts: sortable('hosts', '-requests'.slice(1), HOST_VALUES, () => {
        keepChoice();
        again();
    }),
    processes: sortable('processes', 'process', PROCESS_VALUES, () => {
        keepChoice();
        again();
    }),
};

function begin() {
    for (const e of document.querySelectorAll('.chart, #plot-workers, #last-workers, #card-events')) e.hidden = false;
    $('controls').hidden = false;
    $('still').hidden = true;
    $('host').addEventListener('change', () => choose({ host: $('host').value }));
    for (const b of document.querySelectorAll('[data-span]')) b.addEventListener('click', () => {
        choose({ span: b.dataset.span });
        poll();
    });
    $('save').addEventListener('click', () => answer && save({ answer, time: serverTime(), series, events, exemplars, chosen: fragment() }));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', theme);
    charts = makeCharts();
    if (saved) beginSaved();
    else beginLive();
}

function beginLive() {
    readChoice(location.hash.slice(1));
    addEventListener('hashchange', () => {
        readChoice(location.hash.slice(1));
        again();
        poll();
    });
    $('pause').addEventListener('click', () => {
        choose({ paused: !chosen.paused });
        poll();
    });
    document.addEventListener('visibilitychange', poll);
    answered = performance.now();
    poll();
}

// A saved page: all is there, and nothing changes any more.
function beginSaved() {
    answer = saved.answer;
    Object.assign(series, saved.series);
    events = saved.events;
    exemplars = saved.exemplars || [];
    readChoice(saved.chosen);
    $('pause').hidden = $('save').hidden = $('forms').hidden = true;
    $('still').hidden = false;
    say($('still'), 'Saved at ' + moment(saved.time) + '. Nothing here changes any more.');
    answered = performance.now();
    showAll(true);
}

begin();
