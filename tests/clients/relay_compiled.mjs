// What Relay's compiler makes of a document: Relay's runtime takes nothing else. The compiler itself is ten times the size
// of all clients together.
import { readFileSync } from 'node:fs';
import { Kind, buildSchema, getNamedType, isAbstractType, parse, typeFromAST } from 'graphql';

const schema = buildSchema(readFileSync(new URL('../../schema/blink.graphql', import.meta.url), 'utf8'));

/** The request of a document with one operation. */
export function compiled(text) {
  const { definitions } = parse(text);
  const operation = definitions.find(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  const fragments = new Map(definitions.filter((one) => one !== operation).map((one) => [one.name.value, one]));
  const name = operation.name?.value ?? 'anonymous';
  const root = schema.getRootType(operation.operation);
  const selections = selected(operation.selectionSet, root, fragments);
  const argumentDefinitions = operation.variableDefinitions.map(({ variable }) => ({
    defaultValue: null,
    kind: 'LocalArgument',
    name: variable.name.value,
  }));
  return {
    kind: 'Request',
    fragment: { kind: 'Fragment', name, type: root.name, argumentDefinitions, selections, metadata: null },
    operation: { kind: 'Operation', name, argumentDefinitions, selections },
    params: {
      cacheID: text,
      id: null,
      metadata: {},
      name: operation.name?.value,
      operationKind: operation.operation,
      text,
    },
  };
}

function selected({ selections }, parent, fragments) {
  return selections.map((selection) => {
    if (selection.kind === Kind.FIELD) return field(selection, parent, fragments);
    const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? fragments.get(selection.name.value) : selection;
    const type = typeFromAST(schema, fragment.typeCondition);
    return { kind: 'InlineFragment', type: type.name, selections: selected(fragment.selectionSet, type, fragments) };
  });
}

function field({ name: { value: name }, arguments: given, selectionSet }, parent, fragments) {
  const args = given.map(({ name, value }) => ({
    kind: 'Variable',
    name: name.value,
    variableName: value.name.value,
  }));
  if (!selectionSet) return { kind: 'ScalarField', name, alias: null, args: args.length ? args : null, storageKey: null };
  const { type } = parent.getFields()[name];
  const object = getNamedType(type);
  return {
    kind: 'LinkedField',
    name,
    alias: null,
    args: args.length ? args : null,
    concreteType: isAbstractType(object) ? null : object.name,
    plural: String(type).startsWith('['),
    selections: selected(selectionSet, object, fragments),
    storageKey: null,
  };
}
