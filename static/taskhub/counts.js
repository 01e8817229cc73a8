/** The numbers on top of the list, and the queues one can choose from, as `queue_status` frames bring them. */

const number = new Intl.NumberFormat("en");

export function showCounts({ total_tasks, workers_online, by_status, queues }) {
  for (const shown of document.querySelectorAll("[data-count]")) {
    const name = shown.dataset.count;
    const count = { total: total_tasks, workers: workers_online }[name] ?? by_status[name] ?? 0;
    shown.textContent = number.format(count);
    shown.parentElement.toggleAttribute("data-none", count === 0 && name !== "total");
  }
  queues.forEach(offerQueue);
}

function offerQueue({ name, paused }) {
  const select = document.getElementById("queue");
  const option = [...select.options].find((offered) => offered.value === name) ?? new Option(name, name);
  option.text = paused ? `${name} (paused)` : name;
  if (!option.parentElement) select.append(option);
}
