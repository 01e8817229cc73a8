/** The numbers on top of the list, and the queues one can choose from, as `queue_status` frames bring them. */

const number = new Intl.NumberFormat("en");

export function showCounts({ total_tasks, workers_online, by_status, queues }) {
  for (const shown of document.querySelectorAll("[data-count]")) {
    const name = shown.dataset.count;
    const count = { total: total_tasks, workers: workers_online }[name] ?? by_status[name] ?? 0;
    shown.textContent = number.format(count);
    shown.parentElement.toggleAttribute("data-none", count === 0 && name !== "total");
  }
  offerQueues(queues.map((queue) => queue.name));
}

function offerQueues(names) {
  const select = document.getElementById("queue");
  const offered = new Set([...select.options].map((option) => option.value));
  for (const name of names.filter((name) => !offered.has(name))) select.append(new Option(name, name));
}
