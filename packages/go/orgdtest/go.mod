module orgdtest

go 1.21
