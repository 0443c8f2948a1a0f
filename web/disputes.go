package web

const disputesPath = "/disputes"
