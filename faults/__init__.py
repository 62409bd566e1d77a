"""The fault rig: real processes, sockets and servers, killed, frozen, cut off and lied to.

``python -m faults`` runs every row of the matrix and says what became of the people. It needs
the checkout: the rows build their scenes with the tests' own.
"""
