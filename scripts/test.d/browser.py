"""Pages in Debian's Chromium without a screen, driven over its DevTools protocol, for tests of pages.

    from browser import Browser, check_page
    with Browser() as browser:
        page = browser.open('http://127.0.0.1:8080/')
        page.type('input[name=url]', 'https://example.com/')
        page.press('Enter')
        page.wait("document.querySelector('td')")
        check_page(page)

`check_page` holds a page to what all pages of the lab promise: nothing is asked of anybody else, the console stays
clean, axe-core finds nothing serious in light or dark, the keyboard reaches everything and one sees where it is, and a
narrow window has no second scroll bar. Whoever writes a page writes a test that calls it for each state of the page
(a dialog open, a table full), and that works the page itself by keys and clicks.

A browser has a directory of its own, and is gone with it when the block ends, however it ends.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import websocket

PROGRAM = 'chromium-headless-shell'
# Whoever tests as root has no sandbox; a container often has a small /dev/shm, and never a graphics card.
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--remote-debugging-port=0', '--mute-audio',
         '--no-first-run', '--no-default-browser-check', '--disable-background-networking', '--disable-sync',
         '--disable-component-update', '--disable-extensions', '--disable-features=Translate,OptimizationHints',
         '--force-prefers-reduced-motion', '--window-size=1200,900', '--lang=en', 'about:blank']
PATIENCE = 15.0


class Trouble(AssertionError):
    """What is wrong with the page."""


class Browser:
    """A browser of its own; `with` ends it."""

    def __init__(self):
        program = shutil.which(PROGRAM) or shutil.which('chromium')
        if program is None:
            raise Trouble(PROGRAM + ' is missing: run scripts/setup test')
        self.directory = tempfile.mkdtemp(prefix='sdlab-browser-')
        self.process = subprocess.Popen(
            [program] + ([] if program.endswith(PROGRAM) else ['--headless']) + FLAGS +
            ['--user-data-dir=' + self.directory], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        self.port = None

    def __enter__(self):
        try:
            where = os.path.join(self.directory, 'DevToolsActivePort')
            deadline = time.monotonic() + PATIENCE * 2
            while self.port is None:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Trouble('the browser did not start')
                try:
                    with open(where) as file:
                        lines = file.read().split('\n')
                    self.port = int(lines[0]) if len(lines) > 1 else None
                except (FileNotFoundError, ValueError):
                    pass
                time.sleep(0.02)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def open(self, address, dark=False, width=1200):
        """A page in a tab of its own, loaded."""
        request = urllib.request.Request('http://127.0.0.1:%d/json/new?about:blank' % self.port, method='PUT')
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            target = json.load(answer)
        return Page(self, target['webSocketDebuggerUrl'], address, dark, width)


class Page:
    """A page: what it shows, what it asked for, what it complained of."""

    def __init__(self, browser, socket, address, dark, width):
        self.browser = browser
        self.address = address
        self.socket = websocket.create_connection(socket, timeout=PATIENCE, suppress_origin=True)
        self.number = 0
        self.requests = []
        self.errors = []
        self.is_loaded = False
        for domain in ['Page', 'Runtime', 'Network', 'Log']:
            self.call(domain + '.enable')
        self.show(dark=dark, width=width)
        self.load(address)

    def load(self, address):
        """Goes there, and waits until it has loaded."""
        self.is_loaded = False
        failure = self.call('Page.navigate', url=address).get('errorText')
        if failure:
            raise Trouble(address + ': ' + failure)
        deadline = time.monotonic() + PATIENCE
        while not self.is_loaded:
            if time.monotonic() > deadline:
                raise Trouble(address + ' did not load')
            self.js('1')
            time.sleep(0.01)

    def show(self, dark=False, width=1200):
        """Light or dark, narrow or wide."""
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=900, deviceScaleFactor=1, mobile=False)

    def close(self):
        self.call('Page.close')
        self.socket.close()

    # What happens is said between the answers to what was asked.

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({'id': self.number, 'method': method, 'params': parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get('id') == self.number:
                if 'error' in message:
                    raise Trouble('%s: %s' % (method, message['error']['message']))
                return message['result']
            if 'method' in message:
                self.note(message['method'], message['params'])

    def note(self, method, event):
        if method == 'Network.requestWillBeSent':
            self.requests.append(event['request']['url'])
        elif method == 'Page.loadEventFired':
            self.is_loaded = True
        elif method == 'Runtime.exceptionThrown':
            details = event['exceptionDetails']
            self.errors.append(details.get('exception', {}).get('description') or details['text'])
        elif method == 'Runtime.consoleAPICalled' and event['type'] in ('error', 'warning', 'assert'):
            self.errors.append(' '.join(str(one.get('value', one.get('description'))) for one in event['args']))
        elif method == 'Log.entryAdded' and event['entry']['level'] in ('error', 'warning'):
            self.errors.append(event['entry']['text'] + ' ' + event['entry'].get('url', ''))

    # Looking

    def js(self, expression):
        """The value of an expression; a promise is waited for."""
        answer = self.call('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in answer:
            details = answer['exceptionDetails']
            raise Trouble(details.get('exception', {}).get('description') or details['text'])
        return answer['result'].get('value')

    def wait(self, expression, seconds=PATIENCE):
        """Until the expression is true; its value. What is not there yet may make it fail for a while."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.js(
                '(() => { try { const value = %s; return value instanceof Node ? true : value; } '
                'catch (error) { if (error instanceof TypeError) return null; throw error; } })()' % expression)
            if value:
                return value
            if time.monotonic() > deadline:
                raise Trouble('never became true: %s\n%s\n%s' % (expression, self.text()[:2000], self.errors))
            time.sleep(0.02)

    def text(self, selector='body'):
        """What one reads there."""
        return self.js('(document.querySelector(%s) || {}).innerText || ""' % json.dumps(selector))

    def wait_for_text(self, text, selector='body', seconds=PATIENCE):
        return self.wait('((document.querySelector(%s) || {}).innerText || "").includes(%s)' % (
            json.dumps(selector), json.dumps(text)), seconds)

    def picture(self, path):
        """What it looks like, as PNG: for whoever writes a page."""
        import base64
        with open(path, 'wb') as file:
            file.write(base64.b64decode(self.call('Page.captureScreenshot', captureBeyondViewport=True)['data']))

    # Doing

    def click(self, selector):
        """With the mouse, where it is: what lies under something else is not clicked."""
        place = self.js("""(() => {
          const element = document.querySelector(%s);
          if (!element) return null;
          element.scrollIntoView({block: 'center'});
          const box = element.getBoundingClientRect();
          return [box.x + box.width / 2, box.y + box.height / 2];
        })()""" % json.dumps(selector))
        if place is None:
            raise Trouble('there is no %s to click' % selector)
        for kind in ['mousePressed', 'mouseReleased']:
            self.call('Input.dispatchMouseEvent', type=kind, x=place[0], y=place[1], button='left', clickCount=1)

    def focus(self, selector):
        if not self.js('(() => { const one = document.querySelector(%s); if (!one) return false; one.focus(); '
                       'return document.activeElement === one; })()' % json.dumps(selector)):
            raise Trouble('%s takes no focus' % selector)

    def type(self, selector, text):
        """Puts the text in the place of what the field has."""
        self.focus(selector)
        self.js('document.activeElement.select && document.activeElement.select()')
        self.call('Input.insertText', text=text)

    def choose(self, selector, value):
        """Of a list."""
        self.js('(() => { const list = document.querySelector(%s); list.value = %s; '
                'list.dispatchEvent(new Event("change", {bubbles: true})); })()' % (
                    json.dumps(selector), json.dumps(value)))

    KEYS = {'Tab': (9, ''), 'Enter': (13, '\r'), 'Escape': (27, ''), 'Space': (32, ' '), 'ArrowDown': (40, ''),
            'ArrowUp': (38, ''), 'ArrowLeft': (37, ''), 'ArrowRight': (39, ''), 'Home': (36, ''), 'End': (35, '')}

    def press(self, key, shift=False):
        code, text = self.KEYS[key]
        for kind in ['keyDown', 'keyUp']:
            self.call('Input.dispatchKeyEvent', type=kind, key=' ' if key == 'Space' else key, code=key,
                      windowsVirtualKeyCode=code, modifiers=8 if shift else 0,
                      text=text if kind == 'keyDown' else '')

    # Judging

    def check_requests(self):
        """Nothing was asked of anybody but the page's own server."""
        own = urllib.parse.urlsplit(self.address)
        for request in self.requests:
            there = urllib.parse.urlsplit(request)
            if there.scheme in ('data', 'blob', 'about'):
                continue
            if (there.scheme, there.netloc) != (own.scheme, own.netloc) or \
                    (own.scheme == 'file' and there.path != own.path):
                raise Trouble('the page asks %s for something' % request)

    def check_console(self, expected=()):
        """It complained of nothing, but for what has one of these texts in it (a refused request, say)."""
        for error in self.errors:
            if not any(text in error for text in expected):
                raise Trouble('the console says: ' + error)

    def check_rules(self):
        """axe-core's rules: nothing serious, nothing critical."""
        if not self.js('typeof axe !== "undefined"'):
            self.js(axe_source() + '\n;0')
        answer = json.loads(self.js(
            'axe.run(document, {resultTypes: ["violations"]}).then(found => JSON.stringify(found.violations.map('
            'one => [one.impact, one.id, one.help, one.nodes.map(node => node.html + " " + node.failureSummary)])))'))
        bad = [one for one in answer if one[0] in ('serious', 'critical')]
        if bad:
            raise Trouble('\n'.join('%s: %s (%s)\n  %s' % (a, b, c, '\n  '.join(d)[:1500]) for a, b, c, d in bad))

    def check_keyboard(self):
        """Tab comes to everything that can be used, and each time one sees where one is."""
        for _ in range(20):
            missing = self.unreachable()
            if not missing:
                return
            # What the page has drawn anew meanwhile nobody can reach: another walk.
            if not self.js('keyboardTargets.some(one => !one.isConnected)'):
                break
        raise Trouble('the keyboard does not reach: ' + ', '.join(missing))

    def unreachable(self):
        """What a walk by Tab has not come to, of all that was there when it began."""
        wanted = self.js(KEYBOARD + '; keyboardBegin()')
        seen = set()
        for _ in range(len(wanted) * 2 + 20):
            self.press('Tab')
            number, shown, name = self.js('keyboardAt()')
            if number is None:
                if len(seen) >= len(wanted):
                    break
                continue
            if not shown:
                raise Trouble('one does not see that the focus is at ' + name)
            seen.add(number)
            if len(seen) >= len(wanted):
                break
        return [name for number, name in enumerate(wanted) if number not in seen]

    def check_width(self):
        """A window of 320 points scrolls one way only (WCAG 2.1, 1.4.10)."""
        too_wide = self.js("""(() => {
          const page = document.scrollingElement;
          if (page.scrollWidth <= page.clientWidth) return null;
          const wide = [...document.querySelectorAll('body *')].filter(
            one => one.getBoundingClientRect().right > page.clientWidth + 1);
          return wide.slice(0, 3).map(one => one.outerHTML.slice(0, 120)).join('\\n') || 'something';
        })()""")
        if too_wide:
            raise Trouble('at 320 points the page is wider than its window: ' + too_wide)


# What can be used and is to be seen: of a group of radio buttons one takes the focus.
KEYBOARD = r"""
var keyboardTargets;
function keyboardName(one) {
  return one.outerHTML.slice(0, 100);
}
function keyboardBegin() {
  const modal = document.querySelector('dialog:modal');
  keyboardTargets = [...(modal || document).querySelectorAll(
    'a[href], button, input, select, textarea, summary, [tabindex]')].filter(one =>
    !one.disabled && one.tabIndex >= 0 && one.type !== 'hidden' && one.checkVisibility({checkVisibilityCSS: true})
    && !(one.type === 'radio' && !one.checked && document.querySelector('input[name="' + one.name + '"]:checked')));
  document.activeElement.blur();
  return keyboardTargets.map(keyboardName);
}
function keyboardAt() {
  const one = document.activeElement;
  const number = keyboardTargets.indexOf(one);
  const style = getComputedStyle(one);
  const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none';
  const box = one.getBoundingClientRect();
  return [number < 0 ? null : number, shown && box.width > 0 && box.right > 0, keyboardName(one)];
}
"""


def axe_source():
    import axe_core_python
    with open(os.path.join(os.path.dirname(axe_core_python.__file__), 'axe.min.js'), encoding='utf-8') as file:
        return file.read()


def check_page(page, expected_errors=()):
    """What every page of the lab promises, in the state that it is in."""
    for dark in [False, True]:
        page.show(dark=dark)
        page.check_rules()
    page.show()
    page.check_keyboard()
    page.show(width=320)
    page.check_width()
    page.show()
    page.check_requests()
    page.check_console(expected_errors)
