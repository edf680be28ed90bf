/**
 * The order of the rows of q and k. The rotary encoding turns pairs of a head's rows; in Meta's order (and GGUF's) the
 * two of a pair are neighbours, in transformers' they are half a head apart: row h·d + b·d/2 + i of transformers is row
 * h·d + 2i + b of Meta (convert_llama_weights_to_hf.py, `permute`).
 */
import { mapPieces, type Placement } from "../tensor.js";

export type RowOrder = "meta" | "transformers";

/**
 * The same matrix with the rows in the other order, as a view of the same bytes. `order` is the one they have now, a
 * head has `headRows` rows. Null where heads don't divide the matrix, or its pieces.
 */
export function reorderRows<View extends Placement<{ readonly path: string }>>(
  view: View,
  headRows: number,
  order: RowOrder,
): View | null {
  const half = headRows / 2;
  const [outer, inner] = order === "meta" ? [half, 2] : [2, half];
  const split = splitRows(view, outer, inner);
  if (split === null) return null;
  const swap = ([head = 0, a = 0, b = 0, ...columns]: readonly number[]) => [head, b, a, ...columns];
  const pieces = mapPieces(split.pieces, (piece) => ({
    ...piece,
    start: swap(piece.start),
    extents: swap(piece.extents),
    strides: swap(piece.strides),
  }));
  return { ...view, grid: swap(split.grid), pieces };
}

/** The placement with rows as heads of `outer` times `inner` rows. */
function splitRows(
  { grid, pieces }: Placement<{ readonly path: string }>,
  outer: number,
  inner: number,
): Placement<{ readonly path: string }> | null {
  if (grid.length === 4) return grid[1] === outer && grid[2] === inner ? { grid, pieces } : null;
  const headRows = outer * inner;
  const isWhole = (rows: number | undefined) => rows !== undefined && rows % headRows === 0;
  if (grid.length !== 2 || headRows % 2 !== 0 || !isWhole(grid[0])) return null;
  if (!pieces.every(({ start, extents }) => isWhole(start[0]) && isWhole(extents[0]))) return null;
  const extended = ([rows = 0, columns = 0]: readonly number[]) => [rows / headRows, outer, inner, columns];
  const split = mapPieces(pieces, (piece) => {
    const [row = 0, column = 0] = piece.start;
    const [rowStride = 0, columnStride = 0] = piece.strides;
    return {
      ...piece,
      start: [row / headRows, 0, 0, column],
      extents: extended(piece.extents),
      strides: [headRows * rowStride, inner * rowStride, rowStride, columnStride],
    };
  });
  return { grid: extended(grid), pieces: split };
}
