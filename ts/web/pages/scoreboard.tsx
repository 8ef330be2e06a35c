// Scoreboard. SECOND AUTHOR: this page is a placeholder; everything around it (address, link, title, stream) is there.

export function ScoreboardPage() {
  return (
    <section>
      <h2>Scoreboard</h2>
    </section>
  );
}
