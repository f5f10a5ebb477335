"""What the browser is given of Plotly's script."""

from __future__ import annotations

import pytest
from plotly.offline import get_plotlyjs

from fluxbeat.charts import plotly_script as module
from fluxbeat.charts.plotly_script import UnknownScriptError, plotly_script, smaller_script

WHOLE = """/* licence */
var Plotly=(()=>{var D=Object.defineProperty;
var L=(e,t)=>()=>{try{return t||e((t={exports:{}}).exports,t),t.exports}catch(r){throw t=0,r}};
var I=(e,t,r)=>()=>{if(r)throw r[0];try{return e&&(t=e(e=0)),t}catch(i){throw r=[i],i}};
var N=(e,t)=>{for(var r in t)D(e,r,{get:t[r],enumerable:!0})};
var aa=L((e,t)=>{t.exports={moduleType:"trace",name:"bar",text:"});var x=`",draw(){return shared()}}});
var ab=L((e,t)=>{t.exports=ac()});var ac=L((e,t)=>{t.exports={moduleType:"trace",name:"heatmap",find:/[/}]\\/"/g}});
var ad=L((e,t)=>{t.exports={moduleType:"trace",name:"globe",text:`<${ {a:`}`}.a }>`,draw(){return tiles()+far()}}});
var ae=L((e,t)=>{t.exports={moduleType:"trace",name:"scatter"}});
function shared(){return 1/2/3}function tiles(){return init()}
var world={};N(world,{place:()=>place});var place,init=I(()=>{place=1});
var far=L((e,t)=>{t.exports=2});
OTHERSvar z=L((e,t)=>{var R=ae();R.register([aa(),ab(),ad(),MORE]);t.exports=R});return z();})();
/* more licences */"""


def script() -> str:
    others = [f"b{number}" for number in range(20)]
    modules = "".join(f'var {name}=L((e,t)=>{{t.exports={{name:"{name}"}}}});' for name in others)
    return WHOLE.replace("OTHERS", modules).replace("MORE", ",".join(f"{name}()" for name in others))


def test_what_only_other_traces_use_is_left_out() -> None:
    smaller = smaller_script(script())
    assert "R.register([aa(),ab()])" in smaller
    for name in ("aa", "ab", "ac", "ae", "z"):
        assert f"var {name}=L(" in smaller
    assert "function shared()" in smaller
    for gone in ("globe", "tiles", "place=1", "far", "b7", "N(world"):
        assert gone not in smaller
    assert smaller.startswith("/* licence */")
    assert smaller.endswith("return z();})();\n/* more licences */")


def test_plotly_itself_is_a_quarter_and_has_all_that_our_figures_draw() -> None:
    whole, smaller = get_plotlyjs(), plotly_script()
    assert len(smaller) < len(whole) / 3
    assert smaller[:200] == whole[:200]  # who made it, and its licence
    for kind in ("scatter", *module.KINDS):
        assert f'name:"{kind}"' in smaller or f'.name="{kind}"' in smaller
    assert 'name:"scattermap"' in whole
    assert 'name:"scattermap"' not in smaller


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: text.replace("var Plotly=", "let Plotly="),
        lambda text: text.replace("exports:{}", "exports:[]"),
        lambda text: text.replace(".register(", ".add("),
        lambda text: text.replace('name:"heatmap"', 'name:"heat"'),
        lambda text: text.replace('name:"scatter"', 'name:"points"'),
        lambda text: text.replace("return z();})();", "return z();"),
        lambda text: text.replace("return 1/2/3", "return (1/2/3"),
    ],
)
def test_a_script_of_another_shape_is_used_whole(changed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    other = changed(script())  # type: ignore[operator]
    with pytest.raises(UnknownScriptError):
        smaller_script(other)
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: other)
    assert module.plotly_script.__wrapped__() == other
