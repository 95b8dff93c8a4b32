# Varnish in front of Streamgate: /etc/varnish/streamgate.vcl, made by `streamgate snippet varnish`. Started with:
#
#   varnishd -a {{bind}} -f /etc/varnish/streamgate.vcl -p pipe_timeout={{timeout}}
#
# Behind a cache that keeps other sites: take the conditions over for this one.
vcl 4.1;

import directors;

%gateway backend gateway{{number}} {
%gateway     .host = "{{gateway_host}}";
%gateway     .port = "{{gateway_port}}";
%gateway     .connect_timeout = 5s;
%gateway     # One that drains, or is gone, gets no new streams.
%gateway     .probe = {
%gateway         .request = "GET /readyz HTTP/1.1" "Host: localhost" "Connection: close";
%gateway         .interval = 2s;
%gateway         .timeout = 2s;
%gateway         .window = 2;
%gateway         .threshold = 1;
%gateway     }
%gateway }

sub vcl_init {
    new streamgate = directors.round_robin();
%gateway     streamgate.add_backend(gateway{{number}});
}

sub vcl_recv {
    set req.backend_hint = streamgate.backend();
    set sess.send_timeout = {{timeout}}s;  # of the whole answer; Varnish's own is ten minutes
    # What streams is handed on byte by byte: with `pass`, a client that leaves is seen three keep-alives later. HTTP/2 has no pipe.
    if (req.proto != "HTTP/2.0" && (req.method == "POST" || req.http.Accept ~ "event-stream" || req.http.Upgrade)) {
        return (pipe);
    }
    return (pass);
}

sub vcl_pipe {
    if (req.http.Upgrade ~ "(?i)websocket") {
        set bereq.http.Upgrade = req.http.Upgrade;
        set bereq.http.Connection = req.http.Connection;
    }
}
