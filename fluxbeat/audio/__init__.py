"""Any file, bytes or array -> mono float32 at one sample rate, whole or in blocks of bounded memory."""
