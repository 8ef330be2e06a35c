// System. SECOND AUTHOR: this page is a placeholder; everything around it (address, link, title, stream) is there.

export function SystemPage() {
  return (
    <section>
      <h2>System</h2>
    </section>
  );
}
