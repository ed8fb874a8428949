// ICU's names of hosts outside of ASCII (Unicode TR 46) behind a plain C interface. ICU's own headers stay out of it:
// Foundation brings a copy of another version along, and a module with both definitions of one type does not compile.
#ifndef SDLAB_UNICODE_NAMES_H
#define SDLAB_UNICODE_NAMES_H

// The name in ASCII as browsers write it (WHATWG URL, "domain to ASCII"): not transitional; bidi and joiners are checked;
// hyphens and lengths are not. Its length in bytes, or -1 for what is no name, -2 for what does not fit.
int sdlab_domain_to_ascii(const char *name, int length, char *ascii, int capacity);

#endif
