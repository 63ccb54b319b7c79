"""Texts that would be more than text if a page let them, and what a page is made of."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

#: What is in every one of them, so that it is found wherever it comes out.
MARK = "xq9"

PAYLOADS = (
    "<script>xq9()</script>",
    "</script><script>xq9()</script>",
    "<ScRiPt>xq9()</sCrIpT>",
    "<script/xq9>xq9()</script>",
    "<<script>xq9()//<</script>",
    "<script\n>xq9()</script\n>",
    "<script src=//xq9.example></script>",
    "<img src=x onerror=xq9()>",
    "<img src=x onerror='xq9()'>",
    "<img/src=x/onerror=xq9()>",
    "<svg onload=xq9()>",
    "<svg/onload=xq9()>",
    "<svg><script>xq9()</script></svg>",
    "<svg><animate onbegin=xq9() attributeName=x>",
    "<math><mi xlink:href=javascript:xq9()>x</mi></math>",
    "<body onload=xq9()>",
    "<iframe srcdoc='<script>xq9()</script>'>",
    "<iframe src=javascript:xq9()>",
    "<object data=javascript:xq9()>",
    "<embed src=javascript:xq9()>",
    "<a href=javascript:xq9()>x</a>",
    "<a href='java\tscript:xq9()'>x</a>",
    "<form action=javascript:xq9()><button>x</button></form>",
    "<button formaction=javascript:xq9()>x</button>",
    "<input autofocus onfocus=xq9()>",
    "<details open ontoggle=xq9()>",
    "<video><source onerror=xq9()></video>",
    "<marquee onstart=xq9()>",
    "<style>@import '//xq9.example'</style>",
    "</style><script>xq9()</script>",
    "<link rel=stylesheet href=//xq9.example>",
    "<meta http-equiv=refresh content='0;url=//xq9.example'>",
    "<base href=//xq9.example/>",
    "<template><script>xq9()</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=xq9()>'>",
    "</title><script>xq9()</script>",
    "</textarea><script>xq9()</script>",
    "</pre></code></td></table><script>xq9()</script>",
    "</option></select><img src=x onerror=xq9()>",
    '"><script>xq9()</script>',
    "'><script>xq9()</script>",
    '" onmouseover="xq9()" x="',
    "' onmouseover='xq9()' x='",
    '" autofocus onfocus=xq9() x="',
    "`><img src=x onerror=xq9()>",
    "javascript:xq9()",
    "--><script>xq9()</script><!--",
    "<!--<script>xq9()//--></script>",
    "]]><script>xq9()</script>",
    "&lt;script&gt;xq9()&lt;/script&gt;",
    "{{ xq9 }}{% xq9 %}${xq9}#{xq9}",
    "%(xq9)s %s {xq9} {0}",
    "\u2028<script>xq9()</script>\u2029",
    "＜script＞xq9()＜/script＞",
    "\ufeff<script>xq9()</script>",
)

#: Attributes whose value is an address.
ADDRESSES = ("href", "src", "action", "formaction", "data", "poster", "srcdoc", "xlink:href")


class Structure(HTMLParser):
    """What a page is made of, but for its text.

    Attributes:
        kinds: Its elements, and the attributes that each has.
        addresses: Where it leads, and what it loads.
        counts: How often there is what must not be added: scripts, forms.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.kinds: set[tuple[str, str]] = set()
        self.addresses: set[str] = set()
        self.scripts = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.kinds |= {(tag, ""), *((tag, name) for name, _ in attrs)}
        self.addresses |= {value or "" for name, value in attrs if name in ADDRESSES}
        self.scripts += tag == "script"

    def handle_comment(self, data: str) -> None:
        self.kinds.add(("!--", ""))

    def handle_decl(self, decl: str) -> None:
        self.kinds.add(("!", decl.lower()))

    def unknown_decl(self, data: str) -> None:
        self.kinds.add(("![", ""))

    def handle_pi(self, data: str) -> None:
        self.kinds.add(("?", ""))
