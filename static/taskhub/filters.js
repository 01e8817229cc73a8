/** What the filter form needs beside htmx: clean addresses, removable filters, and a form that follows the address. */

export function wireFilters() {
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    for (const [name, value] of [...detail.formData.entries()]) if (value === "") detail.formData.delete(name);
  });
  document.addEventListener("click", (event) => {
    const remover = event.target.closest("[data-drop-filter]");
    if (!remover) return;
    const form = remover.form;
    remover.closest(".filter").remove();
    form.dispatchEvent(new Event("change", { bubbles: true }));
  });
}
