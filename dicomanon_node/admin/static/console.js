// Loads what is marked data-live anew when the node says that something has happened.
// Without it every page is whole; it only has to be loaded again by hand.
"use strict";

const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");
const toggle = document.getElementById("theme");
const connection = document.getElementById("connection");

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
}

function nameToggle() {
  toggle.textContent = isDark() ? "Light" : "Dark";
  toggle.setAttribute("aria-label", `Change to ${isDark() ? "light" : "dark"} colours`);
}

toggle.hidden = false;
nameToggle();
dark.addEventListener("change", nameToggle);
toggle.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // Not remembered then.
  }
  nameToggle();
});

let isLoading = false;
let isStale = false;

async function refresh() {
  if (isLoading || document.hidden) {
    isStale = true;
    return;
  }
  isLoading = true;
  isStale = false;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected || !answer.ok) {
      return;
    }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      // Nothing is taken away from under the keyboard, or from a selection.
      const isUsed = part.contains(document.activeElement) || selects(part);
      if (other && !isUsed && other.innerHTML !== part.innerHTML) {
        const scrolled = [...part.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
        part.replaceChildren(...other.childNodes);
        part.querySelectorAll(".scroll").forEach((each, index) => {
          each.scrollLeft = scrolled[index] ?? 0;
        });
      }
    }
  } catch {
    connection.textContent = "Not connected";
  } finally {
    isLoading = false;
  }
}

function selects(part) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && part.contains(selection.anchorNode);
}

if (document.querySelector("[data-live]")) {
  const source = new EventSource("/events");
  source.onopen = () => {
    connection.textContent = "Live";
  };
  source.onerror = () => {
    connection.textContent = "Not connected";
  };
  source.onmessage = refresh;
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && isStale) {
      refresh();
    }
  });
}
