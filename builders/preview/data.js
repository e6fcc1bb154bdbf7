// Where the page's data come from: the server this page is from, or the samples written down beside it.
"use strict";

const mm = { url: (address) => address };

mm.source = window.modalmixSamples ? fromFile(window.modalmixSamples) : fromServer();

function fromServer() {
  async function get(address) {
    const answer = await fetch(address, { credentials: "omit", cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.text()) || `the server says ${answer.status}`);
    return answer.json();
  }
  const asked = (filter, more) => new URLSearchParams({ ...filter, ...more }).toString();
  return {
    served: true,
    overview: () => get("overview"),
    lines: (filter, from, count) => get(`list?${asked(filter, { from, count })}`),
    at: async (filter, n) => (await get(`list?${asked(filter, { n, count: 0 })}`)).at,
    sample: (n) => get(`sample/${n}`),
    columns: (n) => get(`columns/${n}`),
    why: async (url) => {
      const answer = await fetch(url, { credentials: "omit" });
      return answer.ok ? "" : answer.text();
    },
  };
}

function fromFile(data) {
  function wanted(filter) {
    const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
    return data.lines.filter(
      (line) =>
        (!filter.mix || line.mix === filter.mix) &&
        (!filter.finding ||
          (filter.finding === "rejected" ? line.state !== "row" : filter.finding === "any" ? line.severity : line.codes.includes(filter.finding))) &&
        words.every((word) => line.text.includes(word)),
    );
  }
  return {
    served: false,
    overview: async () => ({ ...data.overview, ...counted(data), total: data.overview.count }),
    lines: async (filter, from, count) => {
      const found = wanted(filter);
      return { total: found.length, from, lines: found.slice(from, from + count) };
    },
    at: async (filter, n) => {
      const found = wanted(filter).findIndex((line) => line.n >= n);
      return found < 0 ? wanted(filter).length : found;
    },
    sample: async (n) => data.sheets[n],
    columns: async (n) => data.columns[n],
    why: async () => "",
  };
}

// The counts of what is in the file, not of the dataset it was chosen from.
function counted(data) {
  const mixes = {};
  const codes = {};
  const states = {};
  for (const line of data.lines) {
    if (line.state !== "file") mixes[line.mix] = (mixes[line.mix] || 0) + 1;
    states[line.state] = (states[line.state] || 0) + 1;
    for (const code of line.codes) codes[code] = (codes[code] || 0) + 1;
  }
  const findings = data.overview.findings.filter((one) => codes[one.code]).map((one) => ({ ...one, count: codes[one.code] }));
  return { count: data.lines.length, mixes, states, findings, done: true };
}
