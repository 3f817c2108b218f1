"""The Socket.IO door: commands and subscriptions as events, on the ``socketio`` library."""
