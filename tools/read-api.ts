/**
 * In: the library's entry as the compiler sees it. Out: every public name with its doc comment, its fields and their
 * types, as plain data.
 * TypeScript 7 has its API for programs under `unstable`; the version is pinned, and this file alone uses it.
 */
import {
  API,
  type Symbol as ApiSymbol,
  type Checker,
  type Project,
  type Type,
} from "typescript/unstable/sync";

/** A field of a type, or an option. */
export interface ApiField {
  readonly name: string;
  /** As it is written in the source. */
  readonly type: string;
  readonly isOptional: boolean;
  /** Empty where there is none. */
  readonly doc: string;
  /** The fields of its own type, where that has no name: of the items where it is a list. */
  readonly fields: readonly ApiField[];
}

/** A public name. */
export interface ApiExport {
  readonly name: string;
  readonly kind: "function" | "class" | "type" | "constant";
  readonly doc: string;
  /** As it is written in the source: a function's head, a type that is no object, empty for others. */
  readonly text: string;
  readonly fields: readonly ApiField[];
}

/** Of the compiler's `SymbolFlags`. */
const FLAGS = {
  function: 1 << 4,
  class: 1 << 5,
  interface: 1 << 6,
  typeAlias: 1 << 19,
  alias: 1 << 21,
  optional: 1 << 24,
} as const;

/** Of the compiler's `TypeFormatFlags`. */
const FORMAT = { noTruncation: 1, inTypeAlias: 1 << 23 } as const;

/** What a class inherits from `Error`. */
const INHERITED = new Set(["name", "message", "stack", "cause"]);

/** Reads what a module exports, in its order. `path` is absolute, and of the project in `folder`. */
export function readApi(folder: string, path: string): ApiExport[] {
  const api = new API({ cwd: folder });
  try {
    const [project] = api.updateSnapshot({ openProject: `${folder}/tsconfig.json` }).getProjects();
    if (project === undefined) throw new Error("there is no project");
    const file = project.program.getSourceFile(path);
    const module = file === undefined ? undefined : project.checker.getSymbolAtLocation(file);
    if (module === undefined) throw new Error(`${path} is no module of the project`);
    const symbols = project.checker.getExportsOfModule(module);
    const reader = new Reader(project, new Set(symbols.map(({ name }) => name)));
    return symbols.map((symbol) => reader.read(symbol));
  } finally {
    api.close();
  }
}

/** File by file, and as they stand there: the compiler's own order of inherited fields differs from run to run. */
function inSourceOrder(properties: readonly ApiSymbol[]): ApiSymbol[] {
  const placeOf = ({ declarations: [first] }: ApiSymbol) => ({
    path: first?.path ?? "",
    index: first?.index ?? 0,
  });
  return [...properties].sort((a, b) => {
    const [left, right] = [placeOf(a), placeOf(b)];
    return left.path === right.path ? left.index - right.index : left.path < right.path ? -1 : 1;
  });
}

class Reader {
  readonly #project: Project;
  readonly #checker: Checker;
  readonly #names: ReadonlySet<string>;

  constructor(project: Project, names: ReadonlySet<string>) {
    this.#project = project;
    this.#names = names;
    this.#checker = project.checker;
  }

  read(exported: ApiSymbol): ApiExport {
    const { name } = exported;
    const symbol = exported.flags & FLAGS.alias ? this.#checker.getAliasedSymbol(exported) : exported;
    const doc = this.#docOf(symbol);
    const source = this.#sourceOf(symbol);
    if (symbol.flags & FLAGS.function) {
      return { name, kind: "function", doc, text: source.replace(/\s*\{\n[\s\S]*$/, ""), fields: [] };
    }
    if (symbol.flags & FLAGS.class) {
      const fields = this.#fieldsOf(this.#checker.getDeclaredTypeOfSymbol(symbol));
      return {
        name,
        kind: "class",
        doc,
        text: "",
        fields: fields.filter((field) => !INHERITED.has(field.name)),
      };
    }
    if (symbol.flags & (FLAGS.interface | FLAGS.typeAlias)) {
      const type = this.#checker.getDeclaredTypeOfSymbol(symbol);
      const isObject = this.#isObject(type);
      return {
        name,
        kind: "type",
        doc,
        text: isObject ? "" : this.#aliasText(source, type),
        fields: isObject ? this.#fieldsOf(type) : [],
      };
    }
    const type = this.#checker.getTypeOfSymbol(symbol);
    const fields = type === undefined ? [] : this.#fieldsOf(type, true);
    return { name, kind: "constant", doc, text: "", fields };
  }

  /** `areValues`: of a constant, whose fields' types are their values. */
  #fieldsOf(type: Type, areValues = false): ApiField[] {
    return inSourceOrder(this.#checker.getPropertiesOfType(type)).map((property) => {
      const own = this.#checker.getTypeOfSymbol(property);
      const nested = own === undefined ? null : this.#namelessIn(own);
      return {
        name: property.name,
        type:
          areValues && own !== undefined ? this.#checker.typeToString(own) : this.#typeTextOf(property, own),
        isOptional: (property.flags & FLAGS.optional) !== 0,
        doc: this.#docOf(property),
        fields: nested === null ? [] : this.#fieldsOf(nested),
      };
    });
  }

  /** The object type without a name that a field is, may be, or is a list of. */
  #namelessIn(type: Type): Type | null {
    const present = this.#checker.getNonNullableType(type) ?? type;
    const item = this.#checker.typeToString(present).endsWith("[]")
      ? (this.#checker.getTypeArguments(present as never)[0] ?? present)
      : present;
    return this.#checker.typeToString(item).startsWith("{") ? item : null;
  }

  #isObject(type: Type): boolean {
    return !this.#checker.getPropertiesOfType(type).some(({ name }) => name === "charAt");
  }

  /** As it is written; where that speaks of what isn't public, as the compiler has it. */
  #aliasText(source: string, type: Type): string {
    const written = source.replace(/^[\s\S]*?=\s*/, "").replace(/;$/, "");
    const spokenOf = /\btypeof (\w+)/.exec(written)?.[1];
    return spokenOf !== undefined && !this.#names.has(spokenOf)
      ? this.#checker.typeToString(type, undefined, FORMAT.noTruncation | FORMAT.inTypeAlias)
      : written;
  }

  #docOf(symbol: ApiSymbol): string {
    return this.#checker.getDocumentationCommentOfSymbol(symbol).trim();
  }

  /** The declaration, without its comment. */
  #sourceOf(symbol: ApiSymbol): string {
    return (symbol.declarations[0]?.resolve(this.#project)?.getText() ?? "").trim();
  }

  /** What stands behind the field's name; what the compiler makes of it where it stands nowhere. */
  #typeTextOf(property: ApiSymbol, type: Type | undefined): string {
    const declared = /^(?:(?:readonly|override) )*[\w"'-]+\??:\s*([\s\S]*?)[;,]?$/.exec(
      this.#sourceOf(property),
    );
    const text = declared?.[1] ?? (type === undefined ? "unknown" : this.#checker.typeToString(type));
    return text.replace(/\s+/g, " ").replace(/ \| undefined$/, "");
  }
}
