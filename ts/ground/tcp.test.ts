import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { openSockets, socketOf } from "./tcp.ts";
import { until } from "./until.ts";

const LINE =
  'ESTAB 0 0 127.0.0.1:45196 127.0.0.1:31292 users:(("python",pid=29455,fd=8),("python",pid=29460,fd=8)) ino:3023371 sk:2 cgroup:/ <-> ts rto:204 bytes_sent:1686984 bytes_retrans:3784 bytes_acked:1683201 bytes_received:59348 segs_out:1442';

describe("socketOf()", () => {
  it("reads whose a socket is and what it carried", () => {
    expect(socketOf(LINE)).toEqual({
      socket: "3023371",
      pids: [29455, 29460],
      sent_bytes: 1_686_984,
      received_bytes: 59_348,
    });
  });

  it("a socket that carried nothing says 0, and one that is nobody's is left out", () => {
    expect(socketOf('ESTAB 0 0 a:1 b:2 users:(("node",pid=7,fd=3)) ino:9 sk:1 <-> ts')).toMatchObject({
      sent_bytes: 0,
      received_bytes: 0,
    });
    expect(socketOf("TIME-WAIT 0 0 127.0.0.1:1 127.0.0.1:2 timer:(timewait,54sec,0) ino:0 sk:a")).toBeNull();
    expect(socketOf("")).toBeNull();
  });
});

describe("openSockets()", () => {
  it("sees what this very process sends, where the machine can tell", async () => {
    const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
    try {
      await once(client, "connect");
      client.write(Buffer.alloc(50_000));
      const sent = async () => {
        const sockets = await openSockets();
        if (sockets === null) return { done: true, seen: null };
        const most = Math.max(
          ...sockets.filter(({ pids }) => pids.includes(process.pid)).map(({ sent_bytes }) => sent_bytes),
        );
        return { done: most >= 50_000, seen: most };
      };
      expect((await until(sent, { deadline_ms: 5_000 })).done).toBe(true);
    } finally {
      client.destroy();
      server.close();
    }
  });
});
