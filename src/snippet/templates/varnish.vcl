# Varnish in front of Streamgate: /etc/varnish/streamgate.vcl, made by `streamgate snippet varnish`. Started with:
#
#   varnishd -a {{bind}} -f /etc/varnish/streamgate.vcl
#
# Behind a cache that keeps other sites: take the conditions over for this one.
vcl 4.1;

import directors;

%gateway backend gateway{{number}} {
%gateway     .host = "{{gateway_host}}";
%gateway     .port = "{{gateway_port}}";
%gateway     .connect_timeout = 5s;
%gateway     .first_byte_timeout = {{timeout}}s;
%gateway     .between_bytes_timeout = {{timeout}}s;
%gateway }

sub vcl_init {
    new streamgate = directors.round_robin();
%gateway     streamgate.add_backend(gateway{{number}});
}

sub vcl_recv {
    set req.backend_hint = streamgate.backend();
    set sess.send_timeout = {{timeout}}s;  # of the whole answer; Varnish's own is ten minutes
    if (req.http.Upgrade ~ "(?i)websocket") {
        return (pipe);
    }
    return (pass);
}

sub vcl_pipe {
    if (req.http.Upgrade) {
        set bereq.http.Upgrade = req.http.Upgrade;
        set bereq.http.Connection = req.http.Connection;
    }
}

sub vcl_backend_response {
    set beresp.do_stream = true;
    set beresp.do_gzip = false;  # held everything back until the end
    set beresp.do_esi = false;
    set beresp.uncacheable = true;
}
