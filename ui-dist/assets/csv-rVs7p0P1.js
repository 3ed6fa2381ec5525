function o(e,t){return[e,...t].map(r=>r.map(c).join(",")).join(`\r
`)+`\r
`}function c(e){const t=/^[=@\t\r]|^[+-](?![\d.,\s]*%?$)/.test(e)?`'${e}`:e;return/[",\r\n]/.test(t)?`"${t.replaceAll('"','""')}"`:t}function s(e,t,r="text/csv"){const n=document.createElement("a");n.href=URL.createObjectURL(new Blob([t],{type:`${r};charset=utf-8`})),n.download=e,n.click(),setTimeout(()=>URL.revokeObjectURL(n.href),1e3)}export{s,o as t};
