/** Every byte outside of the weights; `bit-flips.test.ts` looks at some of them. */
import { testFlips } from "../support/flipped-files.js";

testFlips(1);
