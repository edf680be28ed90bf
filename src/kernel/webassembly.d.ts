/**
 * The part of the WebAssembly JavaScript interface that `select.ts` uses. TypeScript declares it in its DOM library
 * only, which does not belong in a program for Node (https://webassembly.github.io/spec/js-api).
 */

declare namespace WebAssembly {
  class Module {
    private readonly brand: never;
  }
  class Memory {
    constructor(descriptor: { initial: number; maximum: number });
    readonly buffer: ArrayBuffer;
  }
  class Global {
    readonly value: number;
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, Memory>>);
    readonly exports: object;
  }
  function validate(bytes: Uint8Array): boolean;
  function compile(bytes: Uint8Array): Promise<Module>;
}
