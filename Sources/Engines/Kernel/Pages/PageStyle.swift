/// What all pages look like.
enum PageStyle {
    static let common = """

        :root { --ink: #1b1f24; --paper: #fff; --faint: #5b6470; --line: #d5dae1; --accent: #0a58b8; --good: #11713b;
          --bad: #b3261e; --field: #f5f7fa; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --paper: #14171b; --faint: #9aa4b1;
          --line: #343b44; --accent: #7db4ff; --good: #6fd697; --bad: #ff8a80; --field: #1e2329; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
        main { max-width: 64rem; margin: 0 auto; padding: 1rem; }
        h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; }
        .skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; top: .5rem; background: var(--paper); }
        /* A field for a time has its focus inside. */
        :focus-visible, input:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; }
        table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--faint); }
        .wide { overflow-x: auto; }
        th, td { text-align: left; padding: .35rem .6rem .35rem 0; vertical-align: top;
          border-bottom: 1px solid var(--line); }
        td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
        input, select, button, textarea { font: inherit; color: inherit; background: var(--field);
          border: 1px solid var(--line); border-radius: .3rem; padding: .25rem .5rem; }
        button { cursor: pointer; } button.bad { color: var(--bad); } button[aria-pressed=true] { color: var(--good); }
        form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: .5rem 0; }
        label { display: grid; grid-template-columns: minmax(0, auto); max-width: 100%; font-size: .85rem;
          color: var(--faint); }
        label > * { color: var(--ink); font-size: 1rem; }
        pre { background: var(--field); border: 1px solid var(--line); border-radius: .3rem; padding: .5rem;
          overflow: auto; white-space: pre-wrap; }
        #status { min-height: 1.5rem; margin: 0; color: var(--faint); } #status.bad { color: var(--bad); }
        .faint { color: var(--faint); } .good { color: var(--good); } .bad { color: var(--bad); }
        figure.chart { margin: .5rem 0; } figcaption { color: var(--faint); }
        .chart svg { width: 100%; height: 8rem; border-bottom: 1px solid var(--line); display: block; }
        .mark { fill: var(--accent); } svg.bar { width: 8rem; height: .7rem; display: block; }
        .ends { display: flex; justify-content: space-between; color: var(--faint); font-size: .85rem; }
        h1, h2, p, td, dd { overflow-wrap: anywhere; }
        input, select, textarea { max-width: 100%; }
        dialog { color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: .5rem;
          width: min(56rem, 95vw); } dialog::backdrop { background: #0008; }

        """
}
