internal import ArgumentParser

PenstockCommand.main()
