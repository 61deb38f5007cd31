import './workers.js';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import 'graphiql/graphiql.css';
import './style.css';

import { StarIcon, ToolbarButton, ToolbarMenu, pick, useGraphiQL, useGraphiQLActions, useMonaco } from '@graphiql/react';
import { GraphiQL } from 'graphiql';
import { useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { InitPayload } from './InitPayload.jsx';
import { Status } from './Status.jsx';
import { demoFacts } from './demo.js';
import { Endpoint } from './endpoint.js';
import { examples } from './examples.js';
import { storageOf } from './storage.js';
import { Tabs, withInit } from './tabs.js';

const endpoint = new Endpoint();
const storage = storageOf(location.pathname);
const tabs = new Tabs(storage);

const facts = await demoFacts();
tabs.prepare(facts);

/** GraphiQL asks for a font that is not shipped: text in it would not be of one width. */
const FONT = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace';

function Fonts() {
  const monaco = useMonaco((state) => state.monaco);
  useEffect(() => {
    if (!monaco) return;
    const set = (editor) => editor.updateOptions({ fontFamily: FONT, fontSize: 13 });
    monaco.editor.getEditors().forEach(set);
    const watching = monaco.editor.onDidCreateEditor(set);
    return () => watching.dispose();
  }, [monaco]);
  return null;
}

/**
 * The demo's invoice is paid after a while, and then it has another; and a demo that is started again has other
 * credentials. What is asked is what there is now, and the editors show it.
 */
function KeepUp() {
  const { variableEditor, headerEditor } = useGraphiQL(pick('variableEditor', 'headerEditor'));
  useEffect(() => {
    if (!facts) return;
    endpoint.renewal = async () => {
      const now = await demoFacts();
      if (!now) return (text) => text;
      tabs.remember(now);
      const renew = (text) => tabs.withNames(text, now);
      for (const editor of [variableEditor, headerEditor]) {
        const shown = editor?.getValue() ?? '';
        if (renew(shown) !== shown) editor.setValue(renew(shown));
      }
      const { payload } = endpoint;
      if (renew(payload) !== payload) endpoint.showPayload(renew(payload));
      return renew;
    };
  }, [variableEditor, headerEditor]);
  return null;
}

/** A tab of the example: the one that there is, or a new one. */
function Examples() {
  const { addTab, changeTab, updateActiveTabValues } = useGraphiQLActions();
  const shown = useGraphiQL(pick('tabs', 'queryEditor', 'variableEditor', 'headerEditor'));
  const open = ({ name, query, variables, headers, init }) => {
    const there = shown.tabs.findIndex(({ title }) => title === name);
    if (there >= 0) return changeTab(there);
    addTab();
    shown.queryEditor.setValue(query);
    shown.variableEditor.setValue(variables(facts));
    shown.headerEditor.setValue(headers(facts));
    updateActiveTabValues({ operationName: name, ...withInit(init(facts)) });
  };
  return (
    <ToolbarMenu
      button={
        <ToolbarButton label="Examples">
          <StarIcon className="graphiql-toolbar-icon" aria-hidden="true" />
        </ToolbarButton>
      }
    >
      {examples.map((example) => (
        <ToolbarMenu.Item key={example.name} onSelect={() => open(example)}>
          {example.name}
        </ToolbarMenu.Item>
      ))}
    </ToolbarMenu>
  );
}

createRoot(document.getElementById('playground')).render(
  <GraphiQL
    fetcher={endpoint.fetch}
    storage={storage}
    plugins={[]}
    shouldPersistHeaders
    defaultEditorToolsVisibility
  >
    <GraphiQL.Logo>
      <span className="name">Tidings</span>
    </GraphiQL.Logo>
    <GraphiQL.Toolbar>
      {({ prettify, copy, merge }) => (
        <>
          {prettify}
          {merge}
          {copy}
          <Examples />
        </>
      )}
    </GraphiQL.Toolbar>
    <GraphiQL.Footer>
      <Status endpoint={endpoint} />
    </GraphiQL.Footer>
    <InitPayload endpoint={endpoint} />
    <KeepUp />
    <Fonts />
  </GraphiQL>,
);
