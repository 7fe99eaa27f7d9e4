"""The parts of `make soak`: the model servers it plays, the clients, what each of them must see, what must be left."""
