"use strict";

// Where the server knows the reader no more, as after a token was withdrawn, the page leads to the login, which leads back to it.
const unguarded = window.fetch;
let left = false;

window.fetch = async (...asked) => {
  const answer = await unguarded(...asked);
  if (answer.status !== 401) return answer;
  if (!left) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}&ended=true`);
  left = true;
  return new Promise(() => {}); // the page is about to go
};
