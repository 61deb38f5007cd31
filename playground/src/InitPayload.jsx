/** The editor of the init payload: a third one beside GraphiQL's variables and headers. */
import {
  KeyCode,
  KeyMod,
  createEditor,
  getOrCreateModel,
  onEditorContainerKeyDown,
  pick,
  useGraphiQL,
  useGraphiQLActions,
  useMonaco,
} from '@graphiql/react';
import { useEffect, useRef, useState } from 'react';
import { createPortal } from 'react-dom';
import { readPayload } from './endpoint.js';
import { initOf, withInit } from './tabs.js';

export function InitPayload({ endpoint }) {
  const monaco = useMonaco((state) => state.monaco);
  const { run, updateActiveTabValues } = useGraphiQLActions();
  const { tabs, activeTabIndex } = useGraphiQL(pick('tabs', 'activeTabIndex'));
  const [place, setPlace] = useState(null);
  const [isShown, setIsShown] = useState(false);
  const [text, setText] = useState('');
  const element = useRef(null);
  const model = useRef(null);
  const tab = tabs[activeTabIndex];

  // GraphiQL has no place for an editor of others: its own parts are found by their names.
  useEffect(() => {
    const container = document.querySelector('.graphiql-container');
    const buttons = container.querySelector('.graphiql-editor-tools');
    setPlace({ container, buttons, editors: container.querySelector('.graphiql-editor-tool') });
    const onOther = (event) => event.target.closest('button') && setIsShown(false);
    buttons.addEventListener('click', onOther);
    return () => buttons.removeEventListener('click', onOther);
  }, []);

  useEffect(() => {
    if (place) place.container.dataset.tool = isShown ? 'init-payload' : 'own';
  }, [place, isShown]);

  useEffect(() => {
    if (!monaco || !place) return;
    model.current = getOrCreateModel({ uri: 'init-payload.json', value: '' });
    const editor = createEditor(element, { model: model.current, wordWrap: 'on' });
    const action = editor.addAction({
      id: 'graphql-run',
      label: 'Run Operation',
      contextMenuGroupId: 'graphql',
      keybindings: [KeyMod.CtrlCmd | KeyCode.Enter],
      run,
    });
    const watching = model.current.onDidChangeContent(() => {
      const now = model.current.getValue();
      endpoint.payload = now;
      setText(now);
      updateActiveTabValues(withInit(now));
    });
    endpoint.showPayload = (text) => model.current.setValue(text);
    return () => [action, watching, editor, model.current].forEach((one) => one.dispose());
  }, [monaco, place]);

  // Each tab has its own. A new one goes on with that of the tab it was made from. Not at each change of the text:
  // the editor is ahead of what React knows, and would lose what was just typed.
  useEffect(() => {
    if (model.current) endpoint.showPayload(initOf(tab) ?? endpoint.payload);
  }, [tab?.id, monaco, place]);

  if (!place) return null;
  const { mistake, isEmpty } = look(text);
  const show = () => {
    // Its own buttons open the part below when that is closed.
    place.buttons.querySelector('[data-name="headers"]').click();
    setIsShown(true);
  };
  return (
    <>
      {createPortal(
        <button
          type="button"
          className={`graphiql-un-styled init-payload-button${isShown ? ' active' : ''}`}
          onClick={(event) => {
            event.stopPropagation();
            show();
          }}
        >
          Init payload
          {mistake ? <b className="mistake"> !</b> : !isEmpty && <span aria-hidden="true"> •</span>}
        </button>,
        place.buttons,
      )}
      {createPortal(
        <div className="init-payload" hidden={!isShown}>
          <div
            ref={element}
            className="graphiql-editor"
            tabIndex={0}
            onKeyDown={onEditorContainerKeyDown}
            aria-label="Init payload"
          />
          {mistake ? (
            <p role="alert" className="mistake">
              The init payload {mistake}. It is kept, and nothing is sent until it is mended.
            </p>
          ) : (
            <p>Sent in connection_init when a subscription starts; a change makes a new socket.</p>
          )}
        </div>,
        place.editors,
      )}
    </>
  );
}

function look(text) {
  try {
    return { mistake: null, isEmpty: Object.keys(readPayload(text)).length === 0 };
  } catch (error) {
    return { mistake: error.message, isEmpty: false };
  }
}
