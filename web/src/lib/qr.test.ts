import { expect, it } from "vitest";
import { qrPath } from "./qr";

it("draws the three finder patterns and leaves the quiet zone free", () => {
  const { path, size } = qrPath("otpauth://totp/psyche:mira?secret=JBSWY3DPEHPK3PXP&issuer=psyche");
  const dark = new Set([...path.matchAll(/M(\d+) (\d+)/gu)].map((match) => `${match[1]} ${match[2]}`));
  expect((size - 8 - 17) % 4).toBe(0);
  const end = size - 4 - 7;
  for (const [x, y] of [
    [4, 4],
    [end, 4],
    [4, end],
  ] as const) {
    for (let i = 0; i < 7; i += 1) {
      expect(dark.has(`${x + i} ${y}`)).toBe(true);
      expect(dark.has(`${x} ${y + i}`)).toBe(true);
    }
    expect(dark.has(`${x + 1} ${y + 1}`)).toBe(false);
    expect(dark.has(`${x + 3} ${y + 3}`)).toBe(true);
  }
  for (const place of dark) {
    const [x = 0, y = 0] = place.split(" ").map(Number);
    expect(Math.min(x, y) >= 4 && Math.max(x, y) < size - 4).toBe(true);
  }
});
