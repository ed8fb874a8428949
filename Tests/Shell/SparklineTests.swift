import CommandKit
import Testing

@Suite struct SparklineTests {
    @Test func blocksStandForEighthsOfTheTopAndABlankForNothing() {
        #expect(Sparkline(.block, top: 8).text([0, 1, 2, 3, 4, 5, 6, 7, 8]) == " ▁▂▃▄▅▆▇█")
        #expect(Sparkline(.ascii, top: 8).text([0, 1, 2, 3, 4, 5, 6, 7, 8]) == " .:-=+*#@")
    }

    @Test func theLeastIsSeenAndTheTopIsNotExceeded() {
        #expect(Sparkline(.block, top: 1000).text([1, 125, 126, 1000, 2000]) == "▁▁▂██")
        #expect(Sparkline(.block, top: 0).text([0, 0]) == "  ")
        #expect(Sparkline(.block, top: 3).text([]) == "")
    }

    @Test func brailleShowsTwoValuesWithFourDotsEach() {
        let line = Sparkline(.braille, top: 4)
        #expect(line.text([0, 0]) == " ")
        #expect(line.text([4, 0]) == "⡇")
        #expect(line.text([0, 4]) == "⢸")
        #expect(line.text([1, 2, 3, 4]) == "⣠⣾")
        #expect(line.text([4]) == "⡇")
    }

    @Test func everyGlyphIsOneColumnWide() {
        for glyphs in Sparkline.Glyphs.allCases {
            let values = Array(0..<60)
            #expect(displayWidth(Sparkline(glyphs, top: 59).text(values)) == 60 / glyphs.valuesPerCharacter)
        }
    }

    @Test func textIsCutBetweenWords() {
        #expect(wrapped("one two three four", columns: 9) == "one two\nthree\nfour")
        #expect(wrapped("10:00  to a place", columns: 12, indent: 7) == "10:00  to a\n       place")
        #expect(wrapped("unbreakable", columns: 4) == "unbreakable")
        #expect(wrapped("", columns: 4) == "")
    }
}
