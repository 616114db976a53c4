// charts.js: the charts with lines (uPlot), each with a line of text under it
// that says the last values, or those under the pointer: a canvas says nothing.

function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
}

const DASHES = { '': [], dashed: [6, 4], dotted: [2, 3] };
const EVENT_COLORS = { start: 'green', graceful: 'blue', holder: 'purple', child_killed: 'red', outage: 'red' };
const FONT = '11px system-ui, "DejaVu Sans", sans-serif';
const LEFT = 62;

let events = [];

// The letter of an event in the charts and in the list below them.
function eventLetter(event) {
    return event.kind.slice(0, 1).toUpperCase();
}

// Lines at the events of a time, with their letters where there is room: that
// another child delivers is said last, as it follows from most others.
// place: x of a time.
function drawMarks(ctx, from, to, place, top, bottom, ratio) {
    const shown = events.filter(e => e.time >= from && e.time <= to);
    const lettered = [];
    shown.sort((a, b) => (a.kind === 'holder') - (b.kind === 'holder'));
    ctx.save();
    ctx.lineWidth = ratio;
    ctx.font = 'bold ' + 11 * ratio + 'px sans-serif';
    ctx.textAlign = 'center';
    ctx.textBaseline = 'top';
    for (const event of shown) {
        const x = place(event.time);
        ctx.strokeStyle = ctx.fillStyle = color(EVENT_COLORS[event.kind] || 'soft');
        ctx.setLineDash([3 * ratio, 3 * ratio]);
        ctx.beginPath();
        ctx.moveTo(x, top + 12 * ratio);
        ctx.lineTo(x, bottom);
        ctx.stroke();
        if (lettered.some(other => Math.abs(other - x) < 10 * ratio)) continue;
        lettered.push(x);
        ctx.fillText(eventLetter(event), x, top);
    }
    ctx.restore();
}

function drawEvents(u) {
    const { min, max } = u.scales.x;
    drawMarks(u.ctx, min, max, t => u.valToPos(t, 'x', true), u.bbox.top, u.bbox.top + u.bbox.height,
        devicePixelRatio || 1);
}

function axisClock(u, times) {
    return times.map(t => {
        const text = clock(t);
        return t % 60 === 0 ? text.slice(0, 5) : text;
    });
}

function axisStyle(values, more) {
    return Object.assign({ stroke: () => color('soft'), font: FONT, values,
        grid: { stroke: () => color('grid'), width: 1 }, ticks: { stroke: () => color('grid'), width: 1, size: 4 } }, more);
}

function isPowerOfTen(v) {
    return Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6;
}

function linear() {
    return { range: (u, min, max) => [0, max > 0 ? uPlot.rangeNum(0, max, 0.1, true)[1] : 1] };
}

function logarithmic() {
    return { distr: 3, range: (u, min, max) => {
        if (!(min > 0) || !(max > 0)) return [1e-4, 1];
        return [10 ** Math.floor(Math.log10(min)), 10 ** Math.ceil(Math.log10(max * 1.0001))];
    } };
}

// A point with nothing beside it would be a line of no length.
function alone(u, i) {
    const list = u.data[i];
    const points = [];
    for (let j = 0; j < list.length; j++) {
        if (list[j] != null && list[j - 1] == null && list[j + 1] == null) points.push(j);
    }
    return points;
}

function line(label, hue, dash, show, filled) {
    return { label, hue, dashName: dash, show, stroke: () => color(hue), width: 1.5, dash: DASHES[dash],
        fill: filled ? () => color('fill') : undefined,
        points: { show: true, size: 4, filter: alone, fill: () => color(hue) } };
}

// lines: made by line().  Returns what draws into it: draw(times, columns,
// from, to).
function makeChart(id, scale, values, lines) {
    const plot = $('plot-' + id), last = $('last-' + id);
    let chart = null;

    const opts = {
        legend: { show: false },
        cursor: { sync: { key: 'moment' }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
        scales: { x: { time: true }, y: scale() },
        series: [{}, ...lines.map(({ label, stroke, width, dash, fill, points }) =>
            ({ label, stroke, width, dash, fill, points }))],
        axes: [axisStyle(axisClock, { space: 44, size: 26 }),
            axisStyle(values, { size: LEFT, gap: 4, space: 26 })],
        hooks: { draw: [drawEvents], setCursor: [u => tell(u.cursor.idx)] },
        padding: [10, 10, 0, 0],
    };

    // The values at a moment, the last one without a pointer.
    function tell(at) {
        const times = chart ? chart.data[0] : [];
        const i = at != null && at < times.length ? at : times.length - 1;
        fit(last, lines.length + 1, () => make('span'));
        say(last.children[0], i < 0 ? 'Nothing was counted yet.' : (at != null ? 'At ' : 'Last: ') + clock(times[i]));
        lines.forEach((l, j) => {
            const item = last.children[j + 1];
            if (!item.firstElementChild) {
                item.append(make('span', null, 'key ' + l.dashName + ' ' + l.hue), document.createTextNode(''));
            }
            const v = i < 0 ? null : chart.data[j + 1][i];
            item.lastChild.data = l.label + ' ' + l.show(v);
        });
    }

    const size = () => ({ width: Math.max(120, plot.clientWidth), height: plot.clientHeight || 200 });
    new ResizeObserver(() => chart && chart.setSize(size())).observe(plot);
    return {
        draw(times, columns, from, to) {
            const data = [times, ...columns];
            if (!chart) chart = new uPlot(Object.assign(size(), opts), data, plot);
            else chart.setData(data, false);
            chart.setScale('x', { min: from, max: to });
            tell(chart.cursor.idx);
        },
        redraw() {
            if (chart) chart.redraw(false, true);
        },
    };
}
