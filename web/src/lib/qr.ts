import { generate } from "lean-qr";

/** The modules of a QR code as one path of unit squares, and how many there are along a side with the quiet zone. */
export function qrPath(text: string): { path: string; size: number } {
  const code = generate(text);
  const quiet = 4;
  let path = "";
  for (let y = 0; y < code.size; y += 1)
    for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) path += `M${x + quiet} ${y + quiet}h1v1h-1z`;
  return { path, size: code.size + 2 * quiet };
}
