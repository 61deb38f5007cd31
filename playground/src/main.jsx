import './workers.js';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import 'graphiql/graphiql.css';
import './style.css';

import { pick, useGraphiQL, useMonaco } from '@graphiql/react';
import { GraphiQL } from 'graphiql';
import { useEffect } from 'react';
import { createRoot } from 'react-dom/client';
import { InitPayload } from './InitPayload.jsx';
import { Status } from './Status.jsx';
import { demoFacts } from './demo.js';
import { Endpoint } from './endpoint.js';
import { storageOf } from './storage.js';
import { Tabs } from './tabs.js';

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

/** The demo's invoice is paid after a while, and then it has another: what is asked is the one of now. */
function KeepUp() {
  const { variableEditor } = useGraphiQL(pick('variableEditor'));
  useEffect(() => {
    if (!facts) return;
    endpoint.prepare = async (variables) => {
      const now = await demoFacts();
      if (!now) return variables;
      tabs.remember(now);
      const shown = variableEditor.getValue();
      const renewed = tabs.withNames(shown, now);
      if (renewed !== shown) variableEditor.setValue(renewed);
      return JSON.parse(tabs.withNames(JSON.stringify(variables), now));
    };
  }, [variableEditor]);
  return null;
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
    <GraphiQL.Footer>
      <Status endpoint={endpoint} />
    </GraphiQL.Footer>
    <InitPayload endpoint={endpoint} />
    <KeepUp />
    <Fonts />
  </GraphiQL>,
);
