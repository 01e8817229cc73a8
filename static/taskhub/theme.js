/** Light, dark, or as the system has it. Not a module: it runs before the first paint, so that nothing flashes. */

(() => {
  const KEY = "taskhub.theme";
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const WORDS = { system: "as the system", light: "light", dark: "dark" };

  const remembered = () => {
    try {
      return localStorage.getItem(KEY) in NEXT ? localStorage.getItem(KEY) : "system";
    } catch {
      return "system"; // storage is forbidden here
    }
  };

  const apply = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };

  const show = (button, theme) => {
    button.querySelector("use").setAttribute("href", `#theme-${theme}`);
    button.title = `Theme: ${WORDS[theme]}`;
    button.setAttribute("aria-label", button.title);
  };

  const toggle = (button) => {
    const theme = NEXT[remembered()];
    localStorage.setItem(KEY, theme);
    apply(theme);
    show(button, theme);
  };

  apply(remembered());
  addEventListener("storage", ({ key }) => key === KEY && apply(remembered()));
  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      show(button, remembered());
      button.addEventListener("click", () => toggle(button));
    }
  });
})();
