// Faults of a page that a program can see: names, labels, ids, width, contrast (WCAG 2.2 AA).
() => {
  const faults = [];
  for (const one of document.querySelectorAll('input, select, textarea')) {
    const named = one.labels?.length || one.getAttribute('aria-label');
    if (!named) faults.push(`no label: ${one.outerHTML.slice(0, 80)}`);
  }
  for (const one of document.querySelectorAll('button, a')) if (!one.textContent.trim() && !one.getAttribute('aria-label')) faults.push(`no name: ${one.outerHTML}`);
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  ids.filter((id, place) => ids.indexOf(id) !== place).forEach((id) => faults.push(`id twice: ${id}`));
  if (!document.querySelector('main h1')) faults.push('no h1');
  if (document.documentElement.lang !== 'en') faults.push('no language');
  if (document.documentElement.scrollWidth > innerWidth) faults.push(`wider than the window: ${document.documentElement.scrollWidth}`);
  const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const behind = (one) => { for (let at = one; at; at = at.parentElement) { const c = rgb(getComputedStyle(at).backgroundColor); if (c.length === 3 || c[3] > 0.99) return c; } return [255, 255, 255]; };
  for (const one of document.querySelectorAll('body *')) {
    if (![...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()) || !one.getClientRects().length) continue;
    if (one.closest('.sr, .skip, :disabled, .settled, script, noscript')) continue;
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(2)}: ${one.outerHTML.slice(0, 80)}`);
  }
  return faults;
}
