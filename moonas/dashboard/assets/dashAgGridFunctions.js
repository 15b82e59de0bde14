"use strict";

// How tables write and compare values.
const tables = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
const written = (write) => ({ value }) => (value === null || value === undefined ? "–" : write(value));

tables.percent = written((value) => `${(100 * value).toFixed(2)} %`);
tables.decimals = written((value) => value.toFixed(4));
tables.signed = written((value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`);
tables.whole = written((value) => Math.round(value).toLocaleString("en"));
tables.number = written((value) => (Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(4)).toString()));
tables.hours = written((value) => (value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(1) : value.toFixed(3)));
tables.moment = written((seconds) => new Date(1000 * seconds).toLocaleString("sv").slice(5, 16));
tables.span = written((seconds) => {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return `${Math.round(seconds)} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
});

// Selects the row that the focus has come to, by arrow keys or otherwise.
tables.chooseFocused = ({ api, rowIndex }) => api.getDisplayedRowAtIndex(rowIndex)?.setSelected(true, true);
