// Draws a dashboard as Grafana lays it out, from what its queries answered:
// board = { title, from, to, events: [{time, text}], panels: [{ title, kind, x, y,
//     w, h, unit, log, stacked, max, thresholds, right, series: [{ name,
//     points: [[t, v], ...] }], columns, rows }] }.  Only for the pictures of README.md.
'use strict';

const COLORS = ['#73bf69', '#f2cc0c', '#8ab8ff', '#ff780a', '#f2495c', '#5794f2', '#b877d9',
    '#705da0', '#37872d', '#fade2a', '#447ebc', '#c15c17'];
const UNIT = 34;
const grid = document.getElementById('grid');
const width = grid.clientWidth / 24;

function scaled(value, steps, base) {
    let i = 0;
    while (i < steps.length - 1 && Math.abs(value) >= base) {
        value /= base;
        i++;
    }
    return `${+value.toPrecision(3)}${steps[i]}`;
}

function format(value, unit) {
    if (value === null || value === undefined) {
        return '';
    }
    switch (unit) {
    case 's':
        return value === 0 ? '0 s' : value < 1e-3 ? `${+(value * 1e6).toPrecision(3)} µs`
            : value < 1 ? `${+(value * 1e3).toPrecision(3)} ms` : `${+value.toPrecision(3)} s`;
    case 'percent': return `${+value.toPrecision(3)} %`;
    case 'percentunit': return `${+(value * 100).toPrecision(3)} %`;
    case 'bytes': return scaled(value, [' B', ' KiB', ' MiB', ' GiB'], 1024);
    case 'Bps': return scaled(value, [' B/s', ' kB/s', ' MB/s', ' GB/s'], 1000);
    case 'reqps': return scaled(value, [' req/s', 'k req/s'], 1000);
    case 'wps': return scaled(value, ['/s', 'k/s'], 1000);
    default: return typeof value === 'number' ? scaled(value, ['', ' K', ' Mil'], 1000) : value;
    }
}

function clock(seconds) {
    return new Date(seconds * 1000).toTimeString().slice(0, 8);
}

function element(parent, name, className, text) {
    const e = document.createElement(name);
    e.className = className ?? '';
    e.textContent = text ?? '';
    parent.append(e);
    return e;
}

// All series on one axis of times.
function aligned(series) {
    const times = [...new Set(series.flatMap((s) => s.points.map((p) => p[0])))].sort((a, b) => a - b);
    return [times, ...series.map((s) => {
        const at = new Map(s.points);
        return times.map((t) => at.get(t) ?? null);
    })];
}

function stack(data) {
    const sum = new Array(data[0].length).fill(0);
    return [data[0], ...data.slice(1).map((values) => values.map((v, i) => sum[i] += v ?? 0))];
}

function marks(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = '#ff9830';
    ctx.setLineDash([4, 4]);
    for (const event of board.events) {
        const x = Math.round(u.valToPos(event.time, 'x', true));
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
    }
    ctx.restore();
}

function axes(panel) {
    const look = { stroke: '#8e8ea0', grid: { stroke: '#24282e', width: 1 }, ticks: { show: false },
        font: '11px system-ui' };
    const values = (u, ticks) => ticks.map((v) => v === null ? '' : format(v, panel.unit));
    return [{ ...look, space: 70, values: (u, ticks) => ticks.map(clock) }, { ...look, size: 62, values },
        ...panel.right ? [{ ...look, size: 50, side: 1, scale: 'right', grid: { show: false }, values }] : []];
}

function fromZero(panel) {
    return { range: (u, low, high) => [0, panel.max ?? (high > 0 ? high * 1.08 : 1)] };
}

function lines(panel, box, card) {
    const plain = aligned(panel.series);
    const data = panel.stacked ? stack(plain) : plain;
    // The highest sum first, so that the lower ones are drawn over it.
    const order = panel.series.map((s, i) => i);
    if (panel.stacked) {
        order.reverse();
    }
    const options = {
        width: box.clientWidth, height: box.clientHeight, legend: { show: false }, cursor: { show: false },
        scales: { x: { min: board.from, max: board.to }, y: panel.log ? { distr: 3 } : fromZero(panel),
            right: fromZero(panel) },
        axes: axes(panel), hooks: { draw: [marks] },
        series: [{}, ...order.map((i) => ({
            scale: panel.series[i].name === panel.right ? 'right' : 'y',
            stroke: COLORS[i % COLORS.length], width: 1.5, points: { show: plain[0].length < 3 },
            fill: panel.stacked ? `color-mix(in srgb, ${COLORS[i % COLORS.length]} 45%, #181b1f)`
                : `${COLORS[i % COLORS.length]}14`,
        }))],
    };
    new uPlot(options, [data[0], ...order.map((i) => data[i + 1])], box);
    const legend = element(card, 'div', 'legend');
    panel.series.forEach((s, i) => {
        const item = element(legend, 'span');
        element(item, 'i').style.background = COLORS[i % COLORS.length];
        item.append(s.name);
    });
}

function heatmap(panel, box) {
    const series = panel.series.map((s) => ({ ...s, upper: s.name === '+Inf' ? Infinity : +s.name }))
        .sort((a, b) => a.upper - b.upper);
    const times = aligned(series)[0];
    const step = Math.min(...times.slice(1).map((t, i) => t - times[i]));
    const used = series.filter((s) => s.points.some((p) => p[1] > 0)).map((s) => series.indexOf(s));
    const [low, high] = [Math.max(0, Math.min(...used) - 2), Math.min(series.length - 2, Math.max(...used) + 2)];
    const most = Math.max(...series.flatMap((s) => s.points.map((p) => p[1])));
    const canvas = element(box, 'canvas');
    const [w, h, left, bottom] = [box.clientWidth, box.clientHeight, 62, 20];
    Object.assign(canvas, { width: w, height: h });
    const ctx = canvas.getContext('2d');
    const x = (t) => left + (t - board.from) / (board.to - board.from) * (w - left);
    const rowHeight = (h - bottom) / (high - low + 1);
    ctx.font = '11px system-ui';
    for (let i = low; i <= high; i++) {
        const y = h - bottom - (i - low + 1) * rowHeight;
        for (const [t, count] of series[i].points) {
            if (count > 0) {
                ctx.fillStyle = `color-mix(in srgb, #ff9830 ${10 + 90 * Math.sqrt(count / most)}%, #181b1f)`;
                ctx.fillRect(x(t), y, Math.ceil(x(t + step) - x(t)), Math.ceil(rowHeight));
            }
        }
        const octave = Math.log2(series[i].upper) / 2;
        if (Math.abs(octave - Math.round(octave)) < 0.01) {
            ctx.fillStyle = '#8e8ea0';
            ctx.fillText(format(series[i].upper, 's'), 2, y + 4);
        }
    }
    ctx.fillStyle = '#8e8ea0';
    for (let t = Math.ceil(board.from / 60) * 60; t < board.to; t += 60) {
        ctx.fillText(clock(t), x(t) - 24, h - 5);
    }
}

function color(panel, value) {
    return panel.thresholds.filter((s) => s.value === null || value >= s.value).at(-1).color;
}

function numbers(panel, box) {
    const all = element(box, 'div', 'numbers');
    for (const s of panel.series) {
        const value = s.points.at(-1)?.[1];
        const one = element(all, 'div');
        element(one, 'b', '', value === undefined ? 'No data' : format(value, panel.unit)).style.color =
            { green: '#73bf69', orange: '#ff9830', red: '#f2495c' }[color(panel, value)];
        if (panel.series.length > 1) {
            one.append(s.name);
        }
    }
}

function table(panel, box) {
    const t = element(box, 'table');
    const head = element(t, 'tr');
    panel.columns.forEach((c) => element(head, 'th', '', c));
    for (const row of panel.rows) {
        const tr = element(t, 'tr');
        row.forEach((cell, i) => element(tr, 'td', 'n', panel.columns[i] === 'time'
            ? clock(cell)
            : /elapsed|_time$|mean|longest/.test(panel.columns[i]) ? format(cell, 's')
                : panel.columns[i] === 'errors %' ? +cell.toFixed(2) : cell ?? ''));
    }
}

const DRAW = { timeseries: lines, heatmap, stat: numbers, gauge: numbers, table };

document.querySelector('header').textContent = board.title;
element(document.querySelector('header'), 'small', '', board.about);
for (const panel of board.panels) {
    const place = element(grid, 'div', 'panel');
    Object.assign(place.style, { left: `${panel.x * width}px`, top: `${panel.y * UNIT}px`,
        width: `${panel.w * width}px`, height: `${panel.h * UNIT}px` });
    if (panel.kind === 'row') {
        element(place, 'div', 'row', panel.title);
        continue;
    }
    const card = element(place, 'div', 'card');
    element(card, 'h2', '', panel.title);
    const box = element(card, 'div', 'box');
    if (panel.kind === 'table' ? panel.rows.length === 0 : panel.series.length === 0) {
        element(box, 'div', 'empty', 'No data');
    } else {
        if (panel.kind === 'timeseries') {
            // Below it is the legend's place.
            box.style.flex = 'none';
            box.style.height = `${card.clientHeight - 52}px`;
        }
        DRAW[panel.kind](panel, box, card);
    }
}
grid.style.height = `${Math.max(...board.panels.map((p) => p.y + p.h)) * UNIT}px`;
