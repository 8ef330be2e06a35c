// Alerts. SECOND AUTHOR: this page is a placeholder; everything around it (address, link, title, stream) is there.

export function AlertsPage() {
  return (
    <section>
      <h2>Alerts</h2>
    </section>
  );
}
