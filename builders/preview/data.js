// The page's data: from the server of this page, or from the file of samples beside an exported page.
"use strict";

const mm = { url: (address) => address };

mm.source = window.modalmixSamples ? fromFile(window.modalmixSamples) : fromServer();

function fromServer() {
  async function get(address) {
    const answer = await fetch(address, { credentials: "omit", cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.text()) || `the server answers ${answer.status}`);
    return answer.json();
  }
  const query = (filter, more) => new URLSearchParams({ ...filter, ...more }).toString();
  return {
    overview: () => get("overview"),
    lines: (filter, from, count) => get(`list?${query(filter, { from, count })}`),
    position: async (filter, n) => (await get(`list?${query(filter, { n, count: 0 })}`)).at,
    sample: (n) => get(`sample/${n}`),
    columns: (n) => get(`columns/${n}`),
    failure: async (url) => {
      const answer = await fetch(url, { credentials: "omit" });
      return answer.ok ? "" : answer.text();
    },
  };
}

function fromFile(data) {
  function matching(filter) {
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
    overview: async () => ({ ...data.overview, ...counts(data), total: data.overview.count }),
    lines: async (filter, from, count) => {
      const found = matching(filter);
      return { total: found.length, from, lines: found.slice(from, from + count) };
    },
    position: async (filter, n) => {
      const lines = matching(filter);
      const found = lines.findIndex((line) => line.n >= n);
      return found < 0 ? lines.length : found;
    },
    sample: async (n) => data.sheets[n],
    columns: async (n) => data.columns[n],
    failure: async () => "",
  };
}

// The counts of the samples in the file, not of the dataset that they come from.
function counts(data) {
  const mixes = {};
  const codes = {};
  const states = {};
  for (const line of data.lines) {
    if (line.state !== "file") mixes[line.mix] = (mixes[line.mix] || 0) + 1;
    states[line.state] = (states[line.state] || 0) + 1;
    for (const code of line.codes) codes[code] = (codes[code] || 0) + 1;
  }
  const findings = data.overview.findings.filter(({ code }) => codes[code]).map((kind) => ({ ...kind, count: codes[kind.code] }));
  return { count: data.lines.length, mixes, states, findings, done: true };
}
