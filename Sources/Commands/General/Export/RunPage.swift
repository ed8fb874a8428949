import KernelPages

/// The page of `export`: what happened, at a moment that its reader chooses.
///
/// A film strip: one control moves to a moment, by event or by time, and everything on the page is as it was then: who
/// lived and who talked to whom, the last events as lanes, the journal up to there, what led to an event that is asked
/// for, and what was typed. It is drawn from `RunExport`'s data by the script, so the page needs nobody.
enum RunPage {
    static func make(title: String, _ json: String) -> Page {
        Page(title: title, body: body, style: style, script: RunPageScript.all, data: json)
    }

    private static let body = """
        <p id="facts" class="faint"></p>
        <form id="controls" aria-label="The moment">
        <label class="moment">Moment <input id="moment" type="range" min="0" value="0" step="1"></label>
        <button type="button" id="first">Beginning</button>
        <button type="button" id="previous">Back</button>
        <button type="button" id="next">On</button>
        <button type="button" id="last">End</button>
        <label>Seconds <input id="seconds" type="number" min="0" step="0.001" inputmode="decimal"></label>
        </form>
        <p><output id="at" for="moment"></output></p>
        <h2>Who lives, and who talks to whom</h2>
        <div id="topology"></div>
        <p id="faults"></p>
        <h2>The last events, a lane for each node</h2>
        <div id="lanes"></div>
        <h2>Journal up to this moment</h2>
        <form id="filter" aria-label="What the journal shows">
        <label>Text <input id="text" type="search"></label>
        <label>Node <select id="node"><option value="">all</option></select></label>
        <label>Kind <select id="kind"><option value="">all but messages</option><option value="all">all</option>
        </select></label>
        </form>
        <div id="journal"></div>
        <h2 id="why-title" tabindex="-1">Why</h2>
        <div id="why"><p class="faint">The button of an event shows here what led to it.</p></div>
        <h2>What was typed</h2>
        <div id="typed"></div>
        """

    private static let style = """
        .moment { flex: 1 1 20rem; } #moment { width: 100%; } #at { font-size: 1.15rem; }
        #topology svg, #lanes svg { width: 100%; height: auto; display: block; background: var(--field);
          border: 1px solid var(--line); border-radius: .3rem; }
        .kept, td button { white-space: nowrap; }
        svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .small { font-size: 10px; }
        svg .middle { text-anchor: middle; }
        svg circle { fill: var(--paper); stroke: var(--faint); stroke-width: 2; }
        svg circle.good { stroke: var(--good); } svg circle.bad { stroke: var(--bad); stroke-dasharray: 4 3; }
        svg line { stroke: var(--faint); } svg .lane { stroke: var(--line); }
        svg .newest { fill: var(--accent); } svg text.bad { fill: var(--bad); }
        tr.chain td { background: var(--field); }

        """
}
