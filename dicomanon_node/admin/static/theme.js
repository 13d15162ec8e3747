// Before anything is painted: the theme that was chosen, if one was.
"use strict";
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") {
    document.documentElement.dataset.theme = chosen;
  }
} catch {
  // Storage is forbidden: the system's theme it is.
}
