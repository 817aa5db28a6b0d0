# One BitTorrent peer of libtorrent, set up to be as fast as it can on one machine.
#
#   make FILE TORRENT                    writes the torrent of a file
#   seed TORRENT DIR PORT MODE           serves what lies in DIR
#   leech TORRENT DIR PORT MODE PORT...  fetches into DIR from the peers on these ports
#
# MODE is plain or forced (everything in RC4) for one pair, swarm (plain) for several peers.
# A peer prints "ready", a leech begins with the next line of stdin and prints "done" when all is verified and on
# the medium. When stdin ends, a peer prints "uploaded BYTES" (payload) and goes.
import os
import sys
import threading

import libtorrent as lt

PIECE = 4 << 20


def make(path, out):
    files = lt.file_storage()
    lt.add_files(files, path)
    # SHA-1 alone: one hash of every byte, as everybody else here does.
    torrent = lt.create_torrent(files, PIECE, lt.create_torrent.v1_only)
    lt.set_piece_hashes(torrent, os.path.dirname(path))
    with open(out, "wb") as f:
        f.write(lt.bencode(torrent.generate()))


def settings(port, mode):
    s = lt.default_settings()
    for nothing in ("enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp", "enable_incoming_utp",
                    "enable_outgoing_utp", "smooth_connects", "rate_limit_ip_overhead", "close_redundant_connections",
                    "ssrf_mitigation"):
        s[nothing] = False
    s.update({
        "listen_interfaces": "127.0.0.1:%d" % port,
        "allow_multiple_connections_per_ip": True,
        "upload_rate_limit": 0, "download_rate_limit": 0, "unchoke_slots_limit": -1,
        "aio_threads": 4, "hashing_threads": 2,
        "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.error_notification,
    })
    if mode != "swarm":
        # Between two, long queues and large buffers gain time. Between several they lose it: the seed then sends
        # twice as many copies.
        s.update({
            "send_buffer_watermark": 16 << 20, "send_buffer_low_watermark": 1 << 20,
            "send_buffer_watermark_factor": 200, "send_not_sent_low_watermark": 1 << 20,
            "max_queued_disk_bytes": 256 << 20, "max_peer_recv_buffer_size": 16 << 20,
        })
    # Policy 0 is forced, 2 disabled; level 2 is RC4 alone.
    policy, level = (0, 2) if mode == "forced" else (2, 1)
    s.update({"in_enc_policy": policy, "out_enc_policy": policy, "allowed_enc_level": level,
              "prefer_rc4": mode == "forced"})
    return s


def peer(role, torrent, where, port, mode, others):
    session = lt.session(settings(int(port), mode))
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    params.save_path = where
    params.flags = lt.torrent_flags.update_subscribe | lt.torrent_flags.disable_dht | lt.torrent_flags.disable_lsd
    handle = session.add_torrent(params)
    # A seed checks its file now, because in seed mode it would hash every piece before it sends it.
    waiting = (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data)
    while handle.status().state in waiting or role == "seed" and not handle.status().is_seeding:
        session.wait_for_alert(20)
        session.pop_alerts()
    print("ready", flush=True)

    if role == "leech":
        sys.stdin.readline()
        for other in others:
            handle.connect_peer(("127.0.0.1", int(other)))
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    finished = role == "seed"
    while not ended.is_set():
        session.wait_for_alert(100)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_error_alert):
                sys.exit(alert.message())
            if isinstance(alert, lt.torrent_finished_alert) and not finished:
                finished = True
                fd = os.open(os.path.join(where, params.ti.name()), os.O_RDWR)
                os.fsync(fd)
                os.close(fd)
                print("done", flush=True)
    print("uploaded", handle.status().total_payload_upload, flush=True)
    os._exit(0)  # what a session still wants to say to trackers and files is of no interest


if sys.argv[1] == "make":
    make(*sys.argv[2:4])
else:
    peer(*sys.argv[1:6], sys.argv[6:])
