/** Reads docs/runbook.md, and collects the failures that the doctor may report, for tests. */
import { readdirSync, readFileSync } from 'node:fs'
import ts from 'typescript'

/** The headings of a document, without their marks. */
export const headingsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading!)

/** The anchors of the headings, as GitHub and its like make them. */
export const anchorsOf = (text: string): Set<string> =>
  new Set(
    headingsOf(text).map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )

const DOCTOR = 'src/commands/doctor'

function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node
  for (const child of node.getChildren()) yield* nodesOf(child)
}

const isText = (node: ts.Node | undefined): node is ts.StringLiteralLike | ts.TemplateExpression =>
  node !== undefined && (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node))

/** The texts of constants that a file declares, by name. */
function constantsOf(file: ts.SourceFile): [string, ts.Node][] {
  return [...nodesOf(file)].flatMap((node): [string, ts.Node][] =>
    ts.isVariableDeclaration(node) && isText(node.initializer)
      ? [[node.name.getText(), node.initializer]]
      : [],
  )
}

/** Whether a call may report a failure: `found.fail(...)`, `report('fail', ...)`, or `found[grade](...)`. */
function failureIn(node: ts.Node): ts.Expression | undefined {
  if (!ts.isCallExpression(node)) return undefined
  const { expression: callee, arguments: words } = node
  if (ts.isPropertyAccessExpression(callee) && callee.name.text === 'fail') return words[0]
  if (ts.isElementAccessExpression(callee) && /grade|'fail'/.test(callee.argumentExpression.getText()))
    return words[0]
  const isReport = ts.isIdentifier(callee) && callee.text === 'report' && words[0]?.getText() === "'fail'"
  return isReport ? words[1] : undefined
}

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')

/** A pattern of a text: anything stands for what a template fills in. */
function patternOf(text: ts.StringLiteralLike | ts.TemplateExpression): string {
  if (ts.isStringLiteralLike(text)) return escaped(text.text)
  const spans = text.templateSpans.map(({ literal }) => escaped(literal.text))
  return [escaped(text.head.text), ...spans].join('.*')
}

export interface Failure {
  /** `src/commands/doctor/queues.ts:29` */
  readonly at: string
  /** Matches what the doctor prints; undefined: the text is not known from the source. */
  readonly pattern: RegExp | undefined
}

/** Every failure that the doctor may report, as its source has them. */
export function failures(): Failure[] {
  const files = [
    ...readdirSync(DOCTOR).map((name) => `${DOCTOR}/${name}`),
    'src/commands/fallback-notice.ts',
  ].map((path) => ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true))
  const shared = new Map(files.flatMap(constantsOf))
  return files.flatMap((file) => {
    const own = new Map([...shared, ...constantsOf(file)])
    return [...nodesOf(file)].flatMap((node): Failure[] => {
      const said = failureIn(node)
      if (said === undefined) return []
      const text = ts.isIdentifier(said) ? own.get(said.text) : said
      // A relay that fills in all of the text has words of its own nowhere: those who call it have.
      if (isText(text) && !/\w/.test(patternOf(text).replaceAll('.*', ''))) return []
      const { line } = file.getLineAndCharacterOfPosition(node.getStart())
      const pattern = isText(text) ? new RegExp(`^${patternOf(text)}$`) : undefined
      return [{ at: `${file.fileName}:${line + 1}`, pattern }]
    })
  })
}
